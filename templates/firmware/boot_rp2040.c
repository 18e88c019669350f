/* SPDX-License-Identifier: 0BSD */
/* The second stage of RP2040's boot, which its ROM copies from flash and runs: it makes flash readable as memory, then enters
 * the vector table behind it.
 * Source: RP2040 datasheet, sections 2.8.1 (boot sequence), 2.8.1.3.1 (checksum), 4.10 (SSI); command 6Bh is of Winbond's W25Q16JV,
 * whose four lines are on as delivered (QE = 1, ordering option IQ): the chip of every Pico.
 *
 *      .syntax unified
 *      .cpu cortex-m0plus
 *      .thumb
 *  boot2:
 *      ldr  r3, =0x18000000    @ SSI
 *      movs r0, #0
 *      movs r1, #1
 *      str  r0, [r3, #0x08]    @ SSIENR: off while it is changed
 *      movs r2, #4
 *      str  r2, [r3, #0x14]    @ BAUDR: system clock / 4
 *      ldr  r2, =0x005F0300    @ CTRLR0: data on four lines, 32 bits a frame, EEPROM read
 *      str  r2, [r3, #0x00]
 *      str  r0, [r3, #0x04]    @ CTRLR1: one frame at a time
 *      ldr  r2, =0x6B004218    @ SPI_CTRLR0: command 6Bh, 8 + 24 bits on one line, 8 waits
 *      ldr  r0, =0x180000F4
 *      str  r2, [r0]
 *      str  r1, [r3, #0x08]    @ SSIENR: on; flash now lies at 0x10000000
 *      ldr  r0, =0x10000100    @ vector table
 *      ldr  r1, =0xE000ED08    @ VTOR
 *      str  r0, [r1]
 *      ldr  r1, [r0, #0]
 *      ldr  r2, [r0, #4]
 *      msr  msp, r1
 *      bx   r2
 *
 * Behind the code zeros, then the CRC-32 of all that: polynomial 0x04C11DB7, from 0xFFFFFFFF, highest bit first, not inverted. */
#include <stdint.h>

#define WORDS 64
#define CHECKSUM 0x5DA6818Cu

__attribute__((section(".boot2"), used)) static const uint32_t boot2[WORDS] = {
    0x20004B0Au, 0x60982101u, 0x615A2204u, 0x601A4A08u, 0x4A086058u, 0x60024808u,
    0x48086099u, 0x60084908u, 0x68426801u, 0x8808F381u, 0x00004710u, 0x18000000u,
    0x005F0300u, 0x6B004218u, 0x180000F4u, 0x10000100u, 0xE000ED08u, [WORDS - 1] = CHECKSUM,
};
