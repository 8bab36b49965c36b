"""Says which module of this directory Metaflow takes names from."""

toplevel = "names"
