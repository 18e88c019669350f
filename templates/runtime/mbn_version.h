/* SPDX-License-Identifier: 0BSD */
/* Of which mbn2c these files are, 100 is 0.1.0: files of another version do not compile with them. */
#ifndef MBN_VERSION
#define MBN_VERSION 100
#endif
