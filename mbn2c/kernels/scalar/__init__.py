"""Any core with a C99 compiler: node -> the plain C kernel its operator names."""
