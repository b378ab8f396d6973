"""Pickles written by software that no longer installs beside this library.

Each is ``base64(zlib(pickle))``, written by the named release from the small values that the tests
compare with: Python 2.7 with numpy 1.16; chumpy 0.70 under Python 2.7 and 3.10; pandas 0.24, 1.0,
1.5, 2.2 and 3.1.
"""

import base64
import zlib

_PICKLES = {
    "pandas_0_24_2": (
        "eNqVVUtv00AQtpM4SVsqWomI9lIBEpDyMK1AggNqq6YCtVYDKpdyCNba3mZNYzvyA1qJIji0KNLeuvwpTlyRisQF"
        "xJF/UGZ3k8puLUgtJbMe73zzzezM7IfS54WKIh462UW+gyLdDkKsb4XIw4yOrKAYPRHrQzb7ke2xOtVMB5SMzqT3"
        "u36MQx91It1DPmrjMGL0wnInsLfX5bu0r7cAYCpr6OAdHOkWisDfqOnjt+Yq14EBGaPaYM09l6Tjmp943V1p7iWd"
        "2EVhiHbBnxliO/CjOEzsGEyoJjYyWgF3YsshM5R91lAt9oltsLqhGiP7jNSo5sS7XR4iLTx7BHsMVX4vUvUdazab"
        "a8fwiD9jMWZWj0dRcb32cxQTRtVN+PmMlmzkbUrxEti0Y/N1AHmJzPsOcHmDOi7Ioo1i+HeADQYoWvJ5cpvJATgk"
        "43Q6Lzch8ts8ORtcphJC7jWpFsUojJmh0lIUB10GnGGBYaEKTAxcySVymQdOpgdhF4zCASMztLB1KtzHp8JVeLiN"
        "K7JEvi4qmae0NFgx2HbWizrw4ma8kEaej4lCH6s4HOZ6GrN0BhPS0yj4ERMmaswOmPSiKN/Wvvz+WVOU+tGrh79q"
        "//FizWeYX8tjXlDUfJSiQLkqykWz9K7fhjqwhWyxp0tVGSdqwVveERXBeLnXmJPb/iwOKzkZABXllWlS0QSwRjFu"
        "B6Frow6jY43U20mPl007cHCUR2tfnugweVGPORUAk+2VLW6hi/qC0YkUj5V+N/bJjA4Ic0Lj5CKv/Ml8ZjLX6g40"
        "pOwvaBHRBrQShA4OscN6iZVYoiuGgCJ1MpuG+YeN2rchN9E5De6e1+D2kAbFkzCukxvk1nkDuZN2g/cYLc/p8w/0"
        "eTmL0Q4/jlFatviUj6CG66JyYM4l/MsCrXrt0ISPcLpVK3FhUEM/wsDquDY/XWgPTVZQwpkckVXynfzgdZ/RvhDa"
        "qjGS0SKhLRuVjHYbtLlZWO81pgazSu1LLTVn+vbvBWoFvElUnERiRptQkHAZ8utncDGaHo6RuI9aLLH0vx+bo6o="
    ),
    "pandas_1_0_5": (
        "eNqVVU1v00AQtZM4SVsqWomI9lIBEpDyYVqBBAdEq6YCWqsBlUs5BGttb7OmsRPZa2gliuDQokh76/KnOHFFKhIX"
        "EEf+QZndTaq4tSC1lMx6vPPmzezM7IfC56clTT5ssoNCD8Wm246wuRmhAHM2sowoeizXB3z2I9/lVWbYHig5mxnc"
        "74cURyFqxWaAQtTEUczZuaVW291aU+/KvtoAgKm0oYe3cWw6KAZ/o3aI39orQgcGZIwZ/bXwXFCOK2ESdHaUeZC0"
        "qI+iCO2APzvCbjuMaZS4FEyYITdyVgJ3cssBt7Q9XtMd/omv86qlWyN7nFSY4dGdjgiR5Z49gD2Wrr7nmf6O1+v1"
        "1SN45J+1QLnTFVGU/KD5HFHCmb4Bv5CzgouCDSVeApsmtV+3IS+xfdcDLm9QyweZdxGFfw/YYIBihVAkt57sg0My"
        "zqazchOhsCmSsy7kQELInTozYooiyi2dFWLa7nDgDAsMC11iYuBKLpCLInAy3Q87Z+X2OZlhuc0T4T48Ea4mwq1d"
        "UiXydUFLPYXF/orDttNe9L4XP+WF1LJ8TOR6WPnhMNcGMQunMCE9tVwYc2miU77PlRdN+7b65ffPiqZVD1/d/1X5"
        "jxdnPsX8ShbznKZno+QlymVZLoZjdsIm1IErZYM/WSyrOFED3rKOKA/GS93anNr2Z2FYKcgAqCyvVJPKJoA1orjZ"
        "jnwXtTgbqw28Hfd40XbbHo6zaO2pEx0mL/qRoAJgqr3SxS11cU9wNjHAY7nXjT0yo33CgtA4OS8qfzKbmcq1vg0N"
        "qfoLWkS2ASu1Iw9H2OPdxEkc2RVDQJEqmR2E+YeN3rMh19EZDW6f1eDmkAb54zCukmvkxlkDuTXoBu9yVpwz5++Z"
        "82oWo21xHKOs6IgpH0MNV2XlwJxLxJdHrBw0Ixs+wumWncSHQQ39CAOr5bvidKE9DFVBiWBySFbId/JD1H1K+0Jq"
        "y9ZISouktmiVUtot0GZmYa1bm+rPKr0njYE507N/L1FL4E2h4iSWM9qGgoTLUFw//YvRDjBF8j5qQEyIUrjxdnni"
        "mH8B5pSoGA=="
    ),
    "pandas_1_5_3": (
        "eNqNVU1v00AQtR2nSVsKRahQUFRVAqFwIGrFoRyQ+pEI1FoNqBISSJTV2t7EprZj7DVtJCrBIW0j7S3Lf+HOjRNX"
        "JK4gjvyDMrtOFIcWpZbimY1n5s28nZ39oH/6MqHIh10NcWDjuGK1IlJpRNgnnE3WMMWPpd7j9z7yQ15mOvKbEWcL"
        "WXM3oCQKsBdXfBzgJolizi5teC1rbztdg3uZXe+7IM8146EPZ1dQEoSutecRZAonsGbXRoxxFOE2WJYQCtsHQ/N6"
        "bV182cDWHrGF20haqVfFwpQ0W5FrYY+z6Wpm1eNbn189n6kf8x3ObmZdbdoOSdwXnM1mvGrivyEfU4Pwwm5+lBWb"
        "HEAQE8fA5RQKyD7aFP+Bs3OL5Qe6ZNUGpjmbCxI/bKfufuJRV5YAZKKIWK0gplFiUVFnXhpyVgA4adLjhtLhVdXk"
        "opiyoRpahzt3WN7up8u0pw959yT9mmPqe16v17dO4ZEvY5Vys7sLqagHnKltTmDN9EDsfT05EgQVWpFNIuC5m5jO"
        "beeuAHTKWbj7THOXhyDO8iiEIiCqmnrKQTmERE1WNBMXygyAu3zsuZbI1CgYRUMVMQxNvJ3ps2iAdyTxzPF4iirw"
        "nE1jAiKPxr3MSuc0DOwFoa4vNnSm1tfX+ywPG0agbw8p1Zn66B9KFdjZqga1yYRVyo9kIv8vJhvOsS8SrFudVZTv"
        "W19//5xTlPKP1yu/5lJyWR41IvKW1+NjWXvRmBzHqTZIo5FplDNpSNDFdGh8W1VGHn1toPUZzxn5C++kOxZ1VutH"
        "z42iaIAzBiUnUZZkg+fNShg0gSFLyl3+ZK2YxsO7sDqPmBw4d7rVpdTsz+pFpUgQgpJztz0Hi163Oj/gTO3LfKa6"
        "tCIKaZWdkrMAPeAsno002RnUVnD95jNMHTjCL+AXcKZb2H+RipcwSJoUvWnB7I3RAxsoeIc9F2QOhhi8bZyee2cl"
        "PfJOaXQqDiZahIOmGGk7QmbGGPjBMaY4otClTI9pK+Qwa0AhoKgyJpGzREcwluCCEWNvcNkgn1As5+AuZIYphWsE"
        "GnkCNTzclOoN7Hmt/RjZSQizAk4m8rBJ4Ao5iROz8hd/DIrf"
    ),
    "pandas_2_2_3": (
        "eNqNVUtv00AQth3n0ZZHEWopKCqVQCgciFpxKAekPhKBWqsB9VQOYbW2N7Gp7QR7TRuJSnBI20h7y/KPOHHiisQV"
        "xBF+QZldJ4pDi1JL8czGM/PNfDs7+0H/9DmnyIfdaOPAxlHZaoWk3AixTzibqmKKn0m9zx9+5Ee8xHTkN0POFtPm"
        "bkBJGGAvKvs4wE0SRpxd2fRa1v5Osgb3EpsfuCDPNaORD2fXURy0XWvfI8gUTmDNbo4Z4zDEHbAsItTuHI7Ma9UN"
        "8WUTW/vEFm5jaSVeZQtT0myFroU9zmYqqVWfb9/N/dFrJ3yXs9tpV5t22iQaCM5mU15V8d+Ij+lheGG3MM6KTQ4h"
        "iIkj4HIaBeQAbYn/wNm5w7JDXbJqA9OczQex3+6UkfT3Y4+6sgZgE4XEagURDWOLikKz0pKzPOBJkz43lC6vqCYX"
        "1ZQM1dC63LnPsvYgX6a9eMJ7p8nXDFPf81qttn0Gj3wZa5SbvTrkoh5ypnY4gTXTA7H5tfhYMJRvhTYJgehebDr3"
        "nAcC0Cml4R4xzV0ZgTgr4xCKgKho6hkH5QgSNVnBjF0oMwDyspHnWiJTI28UDFXEMDTxdmbOowHescQzJ+MpqsBz"
        "towcRB6Pe40VL+gY2AxCXV/s6NXqQN8YsDzqGIG+M6JUZ+rTfyhVYGsrGtQmE1YpP5aJ/L+YdDjHvkywXmVWUb5t"
        "f/n1Y05RSt9fr/6cS8hlWdQIyVtei05k7QVjahKn2jCNRqpRzqUhQZeSqfF1TRl79PWhNmA8Y2QvvZPuRNRZbRA9"
        "M46iAc4ElIxEWZYNnjXL7aAJDFlS1vnz9UISD9dhdRExGXDu9irLidnvtctKkSAEJRduewYW/V5lYciZOpDZVHVJ"
        "RRTSKjlFZxF6wFk6H2mqO6wt7/rNl5g6cIT34BdwplvY30vEKxgkTYretGD4RuixDRS8w54LMgNTDN42Ts69s5oc"
        "eac4PhaHIy3EQVPMtF0hU3MM/OAYUxxS6FKmR7TV5jBrQCGgqDImkbNERzCW4IYRc2942yCfUCwHYR0yw5TCPQKN"
        "nEMNDzelegt7XusgQnbchlkBJxN52CRwh5xGsVn+C7kliog="
    ),
    "pandas_3_1_1": (
        "eNqVVUtv00AQthPn0ZZCEaIgUZVekMIlKoIDB6SWpqJQqwGVSzlE1tre2qZ+RPaaNhIVIJS0kfbG9MSFK/8GfgF/"
        "AW5cUBmvnTRJA20txbvxzuObmW9m3ytHpZIkHl5sEt8kEfCJVcLIk5B4FD7B3Q+wDxWuaJ4VAp9PZapGENKq4zMa"
        "+sSNqh7xiUVD1L204gbGzkb6H9UrfDZT0VxHj050gF/RYr/pGDsu1fRECaX5tSFhEoakhZJzmtZs7Z2I11cfJycr"
        "xNihZqI2nan1FKZestDxLSGF5+u3i7+U+gFsgi31zlZZq5nEh2G3mB34sPbud5qIDsrxWT/2mq2qJgL1Ypc5wjYG"
        "qIXUCPyIhbHBEv2CkAReQgSZP1VqQ03WIfFYUWU11wZ7jhfMnsvc84fQPUxP81x+C/V6ff0YH/FSlxjo3QamrqBX"
        "m76FLgyxUvy+j+VBBMQMfLcF3egAdF7WYwcB+hh4IXIdgwoI6FdOXKg5EfiUfcueT4DZC31Yaq4DdiVx1YC15XIa"
        "PmlAA8YJ51H4Ds9tD2F/NIJdSrDXFlNTP5fOuwKqoeMkQvsBeptQlf9jlwV2hOMMwLGfjgMzk0u9SPlshdQLRnS+"
        "DK11awup5rcMcO9RlqVhm3m1cJbNPnL93gDyu+OQ5yQ5s1tUSyN2LydUrhFGrSB0DOKO0nxm4KzH9ayXJ43siCJj"
        "bg53tEn3aFTVSUSBT2o+3dWeJd9QGW0WensxEUycEoA4rg74vW7PDvXRmJS2M8pxeQ+43BI17yCLFT8ZOPVYtF8p"
        "CE0aYnN3Y328jaT0ZydQPgbRNPaiaBXMZEktj2by1PiYxgFImePRMQME/W6cUE45Rbl6pZaLIxCFlhl0RAH/TYIL"
        "20I+S1++/5j7XMAUf/2ziOtoiGVsn4EQGfZzxf5ot7Fq9sGFCzbRL1jJ8awXhNlYti38+cAVg3hb6fIKR6PFtNcB"
        "TvhIu2/iLHpDXAfXPNIN3ybp19o+SsuMoCQ+uUl8iw4wC09xjjESMoycKxELmoCjBjcUN7LQpIIliobExoGYMHFb"
        "3Fc4HD3KiKBmAyEQxvBWwqFZ1LZdYontDeK6wW6kmXEThyVWWnOJTvFGOoxivfoXujSjRQ=="
    ),
    "python27_p0": (
        "eNrNVc1u2zAMvvNF7MsKSZYdGxjWHXYJUKTAAvRUwJBtJfXgH02WuxTYC+8tRslq57ZOtiEbtiCyEvFHJL+PdFgp"
        "CttAiy8BKIa/bg8puT3sdvg3gmEblKLN687ouhvqcsBTDmU3turhouy1vGjHxtRCa/EAuZZl3w1Gj6UBFUM46UFX"
        "TXKVQLgmYLZBEYD5qFb4l+KKAL/GK1fmQUlQKYTbYJcGgAaohNqZ09wGbwPYbDbrNxTcQn/FmhAXOCHLa0cujwv/"
        "9vrXl2OpC4RxkAaxowTKPC/GGkHr8hzwFA8RhLBRlNlKizUDgeWmDvxeV1LLyloi7GXfNLI0NYIM15PkQ22xpvHk"
        "AQHG5wrBOAToCb05Vym4AD6Psiul9ZWhRj+aqu/1kB9yQiz3iNUy8mDjZBRu7r7hzuzhrtdGi86eR7DHu/YvmMS4"
        "pxJzVNo79tRsxh4We/q8W6IPfU2fyO/U79zvzO+xr2vTd3sbWAJXlCx8rmwC97mRrWqEkXnZ9ObOVZStYIMy2zS6"
        "so3F0uXkMp8cfczshpFZahHxqX3F1FAqAphMVYRWlYpsV+Nh6MvC57bRqa6yLriNv3iyvqHJ3Dz+cXW4zxwAaJOA"
        "QV/IhnXqXXF7vIJhzZyplc3alv4iofn7k8JHppeiEdqOr/TYpJpUUCNzYZ+cHemlQ4E7evbFJ2wANwXpIlicPTHR"
        "g3U9H2I8mmE1q3cS+Xpg/3BuUePxhBraDWIjXGaFNMLd7fqMr5YjSH0EWHPM7Wez8czxdQqR1CEiFoPMfivIk0Gc"
        "JXQRYmk70Upb2pgsFjWmL2HdzqdLzJ7D6ibp7NUkitLe6AmKb1TVDzK/F01tB0EcWThjvnxz/PLmgs5vTpYJRV71"
        "12Ome9nh5Ha5rty9KSq1OK5xzuITNWxwTp5ZebJckYQ+H7nnM+3/WEcpm7A/nfBZrXVcSE9Z0mlMCv+qHbXMW6Es"
        "2oljYYLz/uI7i0HFVA=="
    ),
    "python27_p1": (
        "eNqVVNtu00AQ9S1NaloIJdxv5b7cglNKKVBoH3gAXLkSaBEvlrV2to2RY2e869JKVOJ3+A5+iEfeyviSUtKUinnI"
        "Ot6Zs+ecmfUOqITqKfsCGtW+7YJOjwes74WxTMNYhIEAI4iz/mC7HSQpb/ezSIYsTdm26aU8SGIh0yyQJtRImWbG"
        "3XIbJoitSKr68j3Uia0SW7d1WSV15faAm9AgVFtftBVbxaRJzKDqkuM473Yxih9E8N9alknfKEX8XFb+GUfvS5/q"
        "gkswA8/zsxDVxJ5n4hsTjhEXppCprXGkM03rSdrlKe/C8SBIoogHMkS95lr59nWYyz6BNU0XThKqbtkqZ1g4QxuC"
        "Q8bjgMMpOp1kspskqfC2PMuCFjUk35Jw+pOOdHo/vsMZWl9PUpmyGM72aqS3z7ZzhW0a2tbLnQrnKqfOF069GuNU"
        "x6RTiKsrqmIomlJDtUaUxBtwYbVjjYlVk85sepL3BxGT3AuiRPZQ8EWH1vPupl0Bl0ZIXS5IqQUl/eOcVXG6UnD6"
        "6qARLE+Eqzswm/8hJff5Ku/aIV0u8UmJ2lmosq+XqKSHw6FJuCEdx27ajaLAkJndwm41qxFpqXttNlaGKxowIQIW"
        "sRRuHjLH5bYJt/AU2igLfy3j4bdxAvzP2HYBd0ZMIGVnyr6sDSf4buXBX9qWS3ou3CM7cB8NsVXhcORV87lkAh64"
        "8JCMwLcLeEP2Jgtls4cMeaWygSpHAB6NBRgWHlylz2ktZn0uwBqB6uyX+mE4gnN7UnE+1b1rajA/wGc6jd+QQSK4"
        "t8misAuPXZgfgX2yH9bvVLAL4xwcgmsqPjFa3+Ax3kABT11YxAnrU3Ud2efHCXjmwvNRN1/8uUalHZbyn3HA36Uj"
        "IA+2qFyb1dpayR2fyj8FWcq9PhsIeOlm7d8yJm7B"
    ),
    "python27_p2": (
        "eNqVU0tv00AQ9itNYtoSSni/3+HRkJZSChTaAweEpVQqWsTFWGtnWxscO+Ndl1aiUi8JlH/C7+DA3+HIrYwfbWVC"
        "i9hDJvLOfPt938xsKZsgN4ga0Y+gEGVrB1Qy7tCu5QUi8gLuORw0J4i7vY2mE0as2Y194dEoohu6FTEnDLiIYkfo"
        "UMqy9KCT3cKIIfWJbH9ehnLDkA3VUAd5Skds9JgOFaKszBmSIWNKtWGoRJ5vt9uvdvCkP4Yk7G3yUkrPzwXp0PPv"
        "e2ETlTMBumNZduyhjMCydPyiwxETRhOOCusvwxgph1GHRawD444T+j5zhIc69aXs6wsvkXvUhJoJxxpEXjdkRrFu"
        "glQ4g5gFDoPjZCyMRScMI26tW60W1Ikm2LqAE29VJON+/wYnSXkljEREAzjlltx9t06nTNAtFw3ypnODzqQGPR8y"
        "6AsZRUBVkiVNUqQSitT8MFiFs1+rklRzJt/9+FAiE2uWYN2eTwWzHD8ULmo71yblpIFRh8P5AoELCQG5j8+rb6Zb"
        "+fsX0/c/tYlMMWsAlzbhMoqnKcmZPOnKAV00pAEWpYBTs3nu1QzQrRpKH64N2m2jZlTSZG0QG3WkUEvaX5f3Wqgt"
        "7kZUOcId6tMIrh8wnNm1DjfcKqlkdb8WBstwE7trv8eWcrhVUN1IbU9UK0u7U3k7F13Qg4O0bcKdxibcRf2GzNsM"
        "+ZRsJiiHeyZMNgq4zQRX67vVbXL5gJHNdVVQV6H0/lDpbslwFDYjpYB2GYdWAWRqX9fr3WGa3tOFgyZne6ZR28E/"
        "ZAy3vxdyZq1R3+vAAxNmCngP9/HsqRxv9m8+paiKjIGS8ioLcHk4PDJhDsemS+QV5Ju8w+GxCU+Knj3dWwGU3pL+"
        "8/zh4vwhYMMtyGItj/XFxNfRZHXjiFld2uPwzIybvwFHH2fd"
    ),
    "smpl_python27_p0": (
        "eNrtWFtv2zYUfj+/ohu6yStaQ5REWd66JW16c9r6YX4tIMgSrWi1JYKiO/vf75BWDMfRodoAeyjQBwYmP37UuXyH"
        "l4wKyWDhrTzI6+1G7sd5o8R4s13rKlMq20OqRN7UrVbbXIMMYHSYB3VxwGUIo5kPeuEtPdB/ywi7zLZZCLqbXOi9"
        "FCA5jBbeNvIACTgBZ8c4M8TvP/dgPp/PniHLNFxvOfN9BD7tfP+ssbN+cNpHG5btwrtGs0sl2rZRHsgJ5Hkj92bs"
        "jj+NApmgR21eoeetzFQrxtgDbOkm06ragZxCnqbLbYURqdMUmuU/wkSC+TBHBxj6iiEM0NSqLqpctPg9FkKJkSrP"
        "QsNuYxOBLm0sqtNYMP6AYAwFh/UEp8h0ZqyM+62cnFu5Sk6tTB5upfAvHggWTmZy0Xm2yXZSVbU23k1hxn3AwbS9"
        "yaTAocBH0wMcBi0DZiBMmdRGIUHQG4sg7GIRYywwPw/TZE8/POtH99Jk3PmMrighUp0t19aBqN9K3lmJvgVoaHy0"
        "c7W6275NPl1Qv6RabOQ609YEFI0pmfzmsFvcwNUNjk6g7AoiSExBBFP8PpbQZ5EeygqpoW/tMhkpKqX36RcEzDi7"
        "W2GtwPIK0c/RWoZGaTsPMlw5jCy3sgkLOcztSkKKumjTpjY/7XKxMSCc2MnWgkLUBwOSWwNwxb5AhtMukNxuXiVL"
        "4KsLj2grl3B9/9IBJg6QuZgscoHOZXMSfEQiP5PIYxL5lURGJPKERJ5eHkvG1jrKyygh8u9oVYlGFQK3hxIWYm03"
        "8YgddRsFRjaR0RtujoZXnqg6iizK76s6OlRbW6KMy4NqzfyJGTEaLQ96jJL7eoymA3rk/qke7Yb8Q5LfiyQpZEwi"
        "dAAZiQQkEpIInQtOIjGJTEiETuuURH4nkT9I5DmJ/Ekif5HIBYlcEkhCIr7/guS8IDkvSc5LknNFcq5IziuS84rk"
        "vCY5r0nOG5LzhuS8JTlvSc47kvOO5MxIzozkXJOca5LznuS8JzkfSM4HkvOR5Hy87O5zaaszvTUHJDdPv1r8a34G"
        "YM/Ps9ONh/dON8kj89gpdnYFDpk9MPGvVGIllBLF8cLNY3tx4+eHIe85DHl3GJY8Ph54eJmVsR3jvedjzLrzEa+W"
        "ty+q07dKHPwPLyrfdXXvaXwAT5y4HmDnTly52WzAdzbgOxvwnQ34zpIBfDqA5wN44cIfucCfXOBjF/iLCxy5wN9c"
        "4FMX+MwFOpPszLAzvc7cOhPrzOrxJr9sU/NfI9waYlPCa9XoTVWbLr4Dx/8B63Rw4A=="
    ),
    "smpl_python27_p2": (
        "eNrF1VFT01gUB/CbtLQQYK2KirugqKhBsQIWBcWFXVd3JdoH9T46mTS5mIxtmntz65aHzrgPwPTb7UfwcR/9Brsn"
        "zZ+R7A7PG+by45Rweu7J6eWzOZCGzY09P+51kv2631Wi3um1deQp5e1brhJ+N0616vnakmZ+lxUH+W9lyWEH3Ggd"
        "vZFl2zHoq3SIWwK9nwhLjnGz13CYY9AtFdspcWOr2Wzu/k3X6JvDdGvIpxhdBi2Tlm7xyV163w9KpGlXyaqf+hGV"
        "liaeSkWdIouW2/G0ivqWHF/6Q04MpGXzahQHkS9SORma4bfKprLKygchlRIdlzJ9aik1hsvAonLKgac9+V0h65lv"
        "Wfc2kLV2ataFPOeX7aJ/wr+26V3GO14/UVGs5VlnjVfcNPQSIc85pjN2yCu0t0Qreb5QxExWROUgnB7y2ZMtzFaJ"
        "VnlUf6/Fpz9SXiWEq71WW8gLhSwXsyymYx6GFdp/VvTJHlBl1idXi07S9rSQl3w/zCcltJ6Flpyl9l8eyO9tPkWP"
        "5KNw88ckfxjySTeIlN53P9ELcs533VYvosGKXddKBU3T/Ht5hRt97+CNvMrLbkTbW2jymhuIRMRB6nbj7MdUXhvI"
        "65RslD0QMSW/MaS/K+xhMdvDGI1fWBvyPitcX9FltpMzDmtwBs7CObgAr8NFeAva8A5c3hn1emL04Gjrqbx53Cwl"
        "uioQ9HA/WG9FW2SfpVvUuNsDadOHzwuzLi4N5J1/d/HuMJwL599Th5bDhWZInbhX7ET9P524j0445SPqxbsvBmP/"
        "Vzty63AFrsI1+AA24Dp8CB/BDbgJH8MncAs+hT/CbbiT+xmynxBD9jNiyJ4hhuwXxJA9RwzZC8SQ/YoYst8QQ/YS"
        "MWS7iCFzEEP2CjFkrxG/prHjVTfVnu6lcoWXYvG7XKVBLI7SWj5K8oHNy1HQT2WDBo+fSZTYE0qJAOfNuqBhe4hh"
        "e1Qcto1huD4aLfNIboaNwtg9zsbuSn7KHp+HT049D7+ePGEYTqrsGoPjcAJOwWl4fEyfhTPwApyFl+EcnIc4kNk1"
        "uAhvQhsuwWV4D67AVdiA63ADbsLRyVBtpW72b1Fu8WpbdXUniuXTXv0fLW6ErQ=="
    ),
    "smpl_python310_p4": (
        "eNrF1d1OE0EUB/DpF6V8xGLAYEREgwYQG0BQUBSkKspKL/TezbY7MBva7WZ2i+XCBC8Am0wiCcf38hG49JI30Nnd"
        "P6EEDJdu0v56ujunu2fmTHfTP1ezLDq+0pjq2jYDXvOqVsBJ5SqiUfN2ChVBKlkUdETj3yi8qtu0HRnsmNuW9OmH"
        "/iLRpEOVNp1AUkmfrVlb3LS563NqqZ449D19cRjn9RmPu7Zv1t3wo69TipwacOPfqkteqDWqgWNJae2QHi55pe76"
        "gWxUAn0LKhNdSCrr2vElR2SwPSomynRAH2nMSBgZI7VP4rrK2MGOx8NByY15an2Pz6dUYpFKpdLaH31EbwYLqNwq"
        "Ntm542QJH5ZjOmEe9sNBOARH4D04Ch/AMTgBJ5dJ/3yjrHK+sDyuS+uT6kPtJa9Lm0vH3STV8YlXeVSEeB5ENqq9"
        "RSrt2E096Jon+QaXkttmlIoORddV8yF6dfknRPospR4juluiJz6VE32iPyywuNFWXiN9QGK4tXKcYOx/VS22AKfg"
        "NJyBj+EsnINP4FM4DxfgM/gcLsIX8CVcgsuxu5C9QgzZCmLIioghe40YsjeIIXuLGLJVxJC9QwzZe8SQrSGGzEAM"
        "2QfEkK0jXo9Wp8qafmAFDb3IUi7/Qo2yeHhxYQzr4JZKOm29Ju5c1mknp6vldPmkYQZ2whzsgb0wD/tgPxyAg/Am"
        "HIK34Qi8C0fhfTgGx+EkfASn4DSchXNwHi7AsIZiMuqc5IGunupe0/vapuS+X5e62/2Ko5s97smCWfErpLr0u27V"
        "QDrNs523A41tJI3MPqnOmtX09OYQkDGj0rYVWHRxVtJ7YasW8cjHS+f9BX8vxfPsuLZT4f4/8oSzO3vV7ObbZzeB"
        "p1cdOrOn/yAuJu7QwedWcfB0SBKvFBYGtsfExiVjE9FWr2+rceVt9bTnj26pd0uXTnJuBla5yi/JnjSSOrunHynM"
        "0/5YcbHKvhn9w6hsVdaDmuNSo/AX7JKl3A=="
    ),
}


def golden_pickle(name: str) -> bytes:
    return zlib.decompress(base64.b64decode(_PICKLES[name]))


def golden_names(prefix: str) -> list[str]:
    return [name for name in _PICKLES if name.startswith(prefix)]
