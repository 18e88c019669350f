/* SPDX-License-Identifier: 0BSD */
/* Start of a RISC-V core in machine mode: memory, traps; stack and cycle counter.
 * Source: RISC-V privileged architecture 1.12. */
#include "mbn_board.h"
#include "mbn_line.h"
#include "mbn_port.h"
#include "mbn_wire.h"

/* Compilers differ in whether rv32imc names the control registers. */
#define ZICSR ".option arch, +zicsr\n\t"
#define STACK_PAINT 0x5AA5C33Cu
#define PAINT_MARGIN_BYTES 64u

extern uint32_t mbn_data_load[], mbn_data_start[], mbn_data_end[], mbn_bss_start[], mbn_bss_end[];
extern uint32_t mbn_stack_limit[], mbn_stack_top[];

int main(void);
void mbn_start(void);
void mbn_start_c(void);
void mbn_trap(void);

/* A trap is told to the host, with its cause, and ends in a restart. */
__attribute__((aligned(4), used)) void mbn_trap(void)
{
    uint32_t cause;
    __asm__ volatile(ZICSR "csrr %0, mcause" : "=r"(cause));
    mbn_send_begin(MBN_REFUSED, 0);
    mbn_send_u8(MBN_REASON_FAULT);
    mbn_send_u32(cause);
    mbn_send_end();
    mbn_board_reset();
}

/* clang-format off */
/* The first instructions; nobody returns from here, so there is no frame to speak of. */
__asm__("\t.pushsection .vectors,\"ax\",@progbits\n\t.global mbn_start\n\t.type mbn_start, @function\nmbn_start:\n\t" ZICSR
        "csrci mstatus, 8\n\t" /* interrupts off */
        "la sp, mbn_stack_top\n\t"
        "la t0, mbn_trap\n\t"
        "csrw mtvec, t0\n\t"
        "j mbn_start_c\n\t"
        ".size mbn_start, . - mbn_start\n\t.popsection");
/* clang-format on */

__attribute__((used, noreturn)) void mbn_start_c(void)
{
    const uint32_t *from = mbn_data_load;
    for (uint32_t *to = mbn_data_start; to < mbn_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = mbn_bss_start; to < mbn_bss_end; to++) {
        *to = 0;
    }
    volatile uint32_t *paint = mbn_stack_limit;
    const uint32_t here = (uint32_t)__builtin_frame_address(0) - PAINT_MARGIN_BYTES;
    while ((uint32_t)paint < here) {
        *paint++ = STACK_PAINT;
    }
    (void)main();
    mbn_board_reset();
    for (;;) {
    }
}

uint32_t mbn_board_stack_bytes(void)
{
    return (uint32_t)mbn_stack_top - (uint32_t)mbn_stack_limit;
}

uint32_t mbn_board_stack_used_bytes(void)
{
    const volatile uint32_t *word = mbn_stack_limit;
    while (word < mbn_stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)mbn_stack_top - (uint32_t)word;
}

/* A restart from the first instruction: constants stay, variables are made anew. */
void mbn_board_reset(void)
{
    mbn_port_flush();
    mbn_start();
}

#if defined(MBN_UART_INTERRUPT)

/* The platform-level interrupt controller, context 0: machine mode of the first core. */
#define PLIC(offset) (*(volatile uint32_t *)(MBN_INTERRUPT_BASE + (offset)))
#define PLIC_PRIORITY PLIC(4u * MBN_UART_INTERRUPT)
#define PLIC_ENABLE PLIC(0x2000u + 4u * (MBN_UART_INTERRUPT / 32u))
#define PLIC_THRESHOLD PLIC(0x200000u)
#define PLIC_CLAIM PLIC(0x200004u)
#define MIE_EXTERNAL (1u << 11)

/* The interrupt only wakes the core: with mstatus.MIE clear it is never taken. */
static void arm_interrupt(void)
{
    PLIC_PRIORITY = 1;
    PLIC_ENABLE = 1u << (MBN_UART_INTERRUPT % 32u);
    PLIC_THRESHOLD = 0;
    __asm__ volatile(ZICSR "csrw mie, %0" ::"r"(MIE_EXTERNAL));
}

void mbn_board_rearm(void)
{
    PLIC_CLAIM = PLIC_CLAIM;
}

void mbn_board_wait(void)
{
    __asm__ volatile("wfi" ::: "memory");
}

#else

static void arm_interrupt(void)
{
}

void mbn_board_rearm(void)
{
}

void mbn_board_wait(void)
{
}

#endif

/* Interrupts are held back for good: see arm_interrupt. */
void mbn_board_hold(void)
{
}

void mbn_board_release(void)
{
}

void mbn_board_setup(void)
{
    mbn_board_clocks();
    arm_interrupt();
}

int mbn_board_has_cycles(void)
{
    const uint32_t before = mbn_board_now();
    return mbn_board_now() != before;
}

uint32_t mbn_board_now(void)
{
    uint32_t count;
    __asm__ volatile(ZICSR "csrr %0, mcycle" : "=r"(count));
    return count;
}

uint32_t mbn_board_cycles(uint32_t since)
{
    return mbn_board_now() - since;
}
