/* SPDX-License-Identifier: 0BSD */
/* The USART of STM32 F0, F3, F7, G0, G4, H7, L0, L4, U5. */
#define CLOCKS_PER_DIVIDER 1u
#define SMALLEST_DIVIDER 16u
#define LARGEST_DIVIDER 0xFFFFu
#include "mbn_stm32_usart_v2.h"
