/* SPDX-License-Identifier: 0BSD */
/* Start of a Cortex-M: vector table, memory, FPU; stack and cycle counter.
 * Source: Arm DDI 0403 (Armv7-M), DDI 0419 (Armv6-M), DDI 0553 (Armv8-M). */
#include "mbn_board.h"
#include "mbn_line.h"
#include "mbn_port.h"
#include "mbn_wire.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CPACR REGISTER(0xE000ED88u)
#define NVIC_ISER(word) REGISTER(0xE000E100u + 4u * (word)) /* 32 lines a word */
#define NVIC_ICER(word) REGISTER(0xE000E180u + 4u * (word))
#define NVIC_ICPR(word) REGISTER(0xE000E280u + 4u * (word))
#define ICSR REGISTER(0xE000ED04u)
#define ICSR_CLEAR_PENDSV_AND_SYSTICK ((1u << 27) | (1u << 25))
#define SYST_CSR REGISTER(0xE000E010u)
#define VTOR REGISTER(0xE000ED08u)
#define AIRCR REGISTER(0xE000ED0Cu)
#define AIRCR_SYSTEM_RESET 0x05FA0004u
#define CPACR_FPU_AND_MVE (0xFu << 20)
#define STACK_PAINT 0x5AA5C33Cu
#define PAINT_MARGIN_BYTES 64u
#define SYSTEM_VECTORS 16u
#if defined(MBN_UART_INTERRUPT)
#define VECTORS (SYSTEM_VECTORS + MBN_UART_INTERRUPT + 1u)
#else
#define VECTORS SYSTEM_VECTORS
#endif

extern uint32_t mbn_data_load[], mbn_data_start[], mbn_data_end[], mbn_bss_start[], mbn_bss_end[];
extern uint32_t mbn_stack_limit[], mbn_stack_top[];

int main(void);
void mbn_start(void);

/* A fault is told to the host, with the exception number, and ends in a reset. */
static void fault(void)
{
    uint32_t exception;
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    mbn_send_begin(MBN_REFUSED, 0);
    mbn_send_u8(MBN_REASON_FAULT);
    mbn_send_u32(exception);
    mbn_send_end();
    mbn_board_reset();
}

typedef void (*handler)(void);

static void tick(void);

/* The initial stack pointer, then the handlers of reset, of the system's exceptions, and of the console's interrupt. */
typedef struct {
    uint32_t *stack_top;
    handler handlers[VECTORS - 1u];
} vector_table;

__attribute__((section(".vectors"), used)) static const vector_table vectors = {
    mbn_stack_top,
    {
        mbn_start,
        fault,
        fault,
        fault,
        fault,
        fault,
        fault,
        0,
        0,
        0,
        fault,
        fault,
        0,
        fault,
        tick,
#if defined(MBN_UART_INTERRUPT)
        [VECTORS - 2u] = mbn_port_interrupt,
#endif
    },
};

#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__) || \
    defined(__ARM_ARCH_8_1M_MAIN__)

#define ICTR REGISTER(0xE000E004u)
#define NVIC_WORDS ((ICTR & 0xFu) + 1u)
#define CCR REGISTER(0xE000ED14u)
#define CLIDR REGISTER(0xE000ED78u) /* which caches there are; reads as 0 on cores without */
#define CCSIDR REGISTER(0xE000ED80u)
#define CSSELR REGISTER(0xE000ED84u)
#define ICIALLU REGISTER(0xE000EF50u)
#define DCISW REGISTER(0xE000EF60u)
#define CLIDR_INSTRUCTION 1u
#define CLIDR_DATA 2u
#define CLIDR_UNIFIED 4u
#define CCR_DATA_CACHE (1u << 16)
#define CCR_INSTRUCTION_CACHE (1u << 17)
#define CCR_LOW_OVERHEAD_BRANCH (1u << 19)
#define LINE_SHIFT 5u /* both cores with caches, M7 and M55, have lines of 32 bytes */

/* Level 1 caches on, where the core has them; what they hold after power-up is not defined. */
static void enable_caches(void)
{
#if defined(__ARM_ARCH_8_1M_MAIN__)
    CCR |= CCR_LOW_OVERHEAD_BRANCH;
#endif
    const uint32_t found = CLIDR;
    if ((found & CLIDR_INSTRUCTION) != 0) {
        ICIALLU = 0;
        __asm__ volatile("dsb\n\tisb" ::: "memory");
        CCR |= CCR_INSTRUCTION_CACHE;
    }
    if ((found & (CLIDR_DATA | CLIDR_UNIFIED)) != 0) {
        CSSELR = 0;
        __asm__ volatile("dsb" ::: "memory");
        const uint32_t sets = ((CCSIDR >> 13) & 0x7FFFu) + 1u;
        const uint32_t ways = ((CCSIDR >> 3) & 0x3FFu) + 1u;
        const uint32_t way_shift = ways > 1u ? (uint32_t)__builtin_clz(ways - 1u) : 0u;
        for (uint32_t set = 0; set < sets; set++) {
            for (uint32_t way = 0; way < ways; way++) {
                DCISW = (way << way_shift) | (set << LINE_SHIFT);
            }
        }
        __asm__ volatile("dsb" ::: "memory");
        CCR |= CCR_DATA_CACHE;
    }
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

#else

#define NVIC_WORDS 1u

static void enable_caches(void)
{
}

#endif

/* What a boot loader has left on would be taken later: its lines' handlers are not in our table. */
static void silence_interrupts(void)
{
    SYST_CSR = 0;
    for (uint32_t word = 0; word < NVIC_WORDS; word++) {
        NVIC_ICER(word) = 0xFFFFFFFFu;
        NVIC_ICPR(word) = 0xFFFFFFFFu;
    }
    ICSR = ICSR_CLEAR_PENDSV_AND_SYSTICK;
}

/* Entered by the reset vector, or by a boot loader that may have left interrupts on. */
__attribute__((noreturn)) void mbn_start(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm__ volatile("msr msplim, %0" ::"r"(0));
#endif
    silence_interrupts();
    VTOR = (uint32_t)&vectors; /* not there on Cortex-M0, whose table lies at 0 */
    enable_caches();
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_FPU_AND_MVE;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
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

void mbn_board_reset(void)
{
    mbn_port_flush();
    __asm__ volatile("dsb" ::: "memory");
    AIRCR = AIRCR_SYSTEM_RESET;
    for (;;) {
    }
}

void mbn_board_rearm(void)
{
#if defined(MBN_UART_INTERRUPT)
    NVIC_ICPR(MBN_UART_INTERRUPT / 32u) = 1u << (MBN_UART_INTERRUPT % 32u);
#endif
}

void mbn_board_wait(void)
{
#if defined(MBN_UART_INTERRUPT)
    __asm__ volatile("dsb\n\twfi" ::: "memory");
#endif
}

void mbn_board_hold(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
}

void mbn_board_release(void)
{
    __asm__ volatile("cpsie i\n\tisb" ::: "memory");
}

#if defined(MBN_CYCLES_DWT)

/* The system's timer stands still. */
static void tick(void)
{
}

#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)
#define DWT_UNLOCK 0xC5ACCE55u

static void start_cycles(void)
{
    DEMCR |= 1u << 24;
    DWT_LAR = DWT_UNLOCK; /* Cortex-M7 locks it against software; elsewhere it is not there */
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
}

uint32_t mbn_board_now(void)
{
    return DWT_CYCCNT;
}

uint32_t mbn_board_cycles(uint32_t since)
{
    return DWT_CYCCNT - since;
}

#elif defined(MBN_CYCLES_SYSTICK)

#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define SYSTICK_MASK 0x00FFFFFFu
#define SYSTICK_CPU_CLOCK_INTERRUPT_ENABLE 7u

static volatile uint32_t ticks;

/* Every 2^24 cycles. */
static void tick(void)
{
    ticks++;
}

static void start_cycles(void)
{
    SYST_RVR = SYSTICK_MASK;
    SYST_CVR = 0;
    SYST_CSR = SYSTICK_CPU_CLOCK_INTERRUPT_ENABLE;
}

/* The counter runs down and has 24 bits; the ticks are the rest. */
uint32_t mbn_board_now(void)
{
    uint32_t high;
    uint32_t low;
    do {
        high = ticks;
        low = SYSTICK_MASK - SYST_CVR;
    } while (high != ticks);
    return (high << 24) + low;
}

uint32_t mbn_board_cycles(uint32_t since)
{
    return mbn_board_now() - since;
}

#else

static void tick(void)
{
}

static void start_cycles(void)
{
}

uint32_t mbn_board_now(void)
{
    return 0;
}

uint32_t mbn_board_cycles(uint32_t since)
{
    (void)since;
    return 0;
}

#endif

/* Some cores and emulators have no counter: one that stands still is none. */
int mbn_board_has_cycles(void)
{
    const uint32_t before = mbn_board_now();
    for (volatile int i = 0; i < 16; i++) {
    }
    return mbn_board_now() != before;
}

void mbn_board_setup(void)
{
    mbn_board_clocks();
#if defined(MBN_UART_INTERRUPT)
    /* Taken from the first wait for a byte on, when interrupts are released. */
    NVIC_ISER(MBN_UART_INTERRUPT / 32u) = 1u << (MBN_UART_INTERRUPT % 32u);
#endif
    start_cycles();
}
