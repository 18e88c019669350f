"""int8 Graph and kernels -> Plan: a schedule of row loops and a memory map."""
