"""Looking at data: skeletons over images, contact sheets, self-contained HTML reports."""

from posepile_torch.view.draw import contact_sheet, draw_sample, draw_skeleton, write_png

__all__ = ["contact_sheet", "draw_sample", "draw_skeleton", "write_png"]
