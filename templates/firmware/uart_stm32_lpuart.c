/* SPDX-License-Identifier: 0BSD */
/* The low-power UART of STM32 F0, F3, F7, G0, G4, H7, L0, L4, U5. */
#define CLOCKS_PER_DIVIDER 256u
#define SMALLEST_DIVIDER 0x300u
#define LARGEST_DIVIDER 0xFFFFFu
#include "mbn_stm32_usart_v2.h"
