"""The guided tour: a synthetic dataset becomes an archive, a trained network and a report."""
