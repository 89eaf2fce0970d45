"""Writers of file formats; they decide nothing."""
