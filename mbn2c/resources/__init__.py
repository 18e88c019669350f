"""Names of templates and targets -> their text, from a checkout or an installed package."""
