/* QEMU TCG plugin: executed guest instructions between two functions -> one decimal line per bracket, and a histogram.
 *
 *   gcc -shared -fPIC -O2 -o count_instructions.so count_instructions.c
 *   qemu-system-arm -M mps2-an386 ... -plugin ./count_instructions.so,start=0x1234,stop=0x1240,out=counts.txt,histogram=histogram.txt
 *
 *   start      address of the function that opens a bracket (bit 0, the Thumb bit, is ignored)
 *   stop       address of the function that closes it
 *   out        file; each stop event appends the number of instructions executed since the last start event (flushed)
 *   ranges     file, optional: lines "first-address last-address name" (hex, last exclusive) of functions; what runs in
 *              a function without a range counts for the function with a range that ran before it, its caller
 *   costs      file, with ranges: lines "address least most taken-least taken-most": address of an instruction (hex), its
 *              cycles by some model, and how many more it takes when the next instruction is not the one behind it
 *   table      file, with ranges; written anew at each stop event, since a program may be killed: "name load store mac
 *              extend branch other least most" per range, inside brackets; the last two are cycles, 0 without costs
 *   histogram  file, optional; written at exit: "pc count size opcode-bytes disassembly" for every instruction executed
 *              inside brackets, in order of pc (pc and opcode bytes in hex, bytes in memory order)
 *
 * The instructions at `start` and `stop` are not counted; if the two functions are a bare return, the bracket holds the
 * code between the two calls and the call of `stop`. A second start before a stop opens the bracket anew; a stop without
 * a start is ignored. A predicated instruction that does nothing counts as executed, as does one that faults.
 * Both QEMU modes, any target, one vCPU (a second one is refused, since the counters are not atomic). The histogram needs
 * an exit that QEMU sees: power-off, semihosting, SIGTERM, `quit`; SIGKILL loses it.
 *
 * Counts are exact and independent of how QEMU cuts code into translation blocks: each instruction carries its own add,
 * and an instruction that is translated again finds its old counter by address and opcode.
 *
 * The prototypes below are the documented plugin interface, version 1 (QEMU 4.2 to 9.0, written for Debian's 7.2, which
 * ships no qemu-plugin.h). Source: QEMU, docs/devel/tcg-plugins.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

typedef struct {
    const char *target_name;
    struct {
        int min;
        int cur;
    } version;
    bool system_emulation;
    union {
        struct {
            int smp_vcpus;
            int max_vcpus;
        } system;
    };
} qemu_info_t;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_CB_RW_REGS };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

typedef void (*tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*vcpu_cb_t)(qemu_plugin_id_t id, unsigned int vcpu_index);
typedef void (*vcpu_udata_cb_t)(unsigned int vcpu_index, void *userdata);
typedef void (*udata_cb_t)(qemu_plugin_id_t id, void *userdata);

void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t id, vcpu_cb_t cb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb_t cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, vcpu_udata_cb_t cb,
                                          enum qemu_plugin_cb_flags flags, void *userdata);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, vcpu_udata_cb_t cb,
                                            enum qemu_plugin_cb_flags flags, void *userdata);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, enum qemu_plugin_op op, void *ptr,
                                                uint64_t imm);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, udata_cb_t cb, void *userdata);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t idx);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

enum { MAX_OPCODE_BYTES = 16, BUCKETS = 1 << 14, MAX_RANGES = 1 << 14, MAX_NAME = 63 };
enum { LOAD, STORE, MAC, EXTEND, BRANCH, OTHER, CLASSES };
enum { LEAST_CYCLES = CLASSES, MOST_CYCLES, COUNTERS };

/* What a mnemonic starts with says its class; the first line that fits counts. Arm, Thumb, Helium, A64, RISC-V. */
static const struct {
    const char *prefix;
    int class;
} mnemonics[] = {
    {"ldr", LOAD},       {"ldm", LOAD},      {"ldp", LOAD},    {"ldu", LOAD},    {"pop", LOAD},      {"vldr", LOAD},
    {"vldm", LOAD},      {"vld", LOAD},      {"vpop", LOAD},   {"ld1", LOAD},    {"ld2", LOAD},      {"ld3", LOAD},
    {"ld4", LOAD},       {"lb", LOAD},       {"lh", LOAD},     {"lw", LOAD},     {"ld", LOAD},       {"c.l", LOAD},
    {"str", STORE},      {"stm", STORE},     {"stp", STORE},   {"stu", STORE},   {"push", STORE},    {"vst", STORE},
    {"sdot", MAC},       {"vpush", STORE},   {"st1", STORE},   {"st2", STORE},   {"sb", OTHER + 10}, {"sh", OTHER + 11},
    {"sw", STORE},       {"sd", OTHER + 12}, {"c.s", STORE},   {"smla", MAC},    {"smml", MAC},      {"smul", MAC},
    {"smmul", MAC},      {"smuad", MAC},     {"smusd", MAC},   {"umla", MAC},    {"umul", MAC},      {"mla", MAC},
    {"mls", MAC},        {"mul", MAC},       {"madd", MAC},    {"vmla", MAC},    {"vmul", MAC},      {"vqrdmulh", MAC},
    {"vrmlaldavh", MAC}, {"vfma", MAC},      {"sxt", EXTEND},  {"uxt", EXTEND},  {"vmovl", EXTEND},  {"sext", EXTEND},
    {"zext", EXTEND},    {"sbfx", EXTEND},   {"ubfx", EXTEND}, {"sxtl", EXTEND}, {"bic", OTHER},     {"bfi", OTHER},
    {"bfc", OTHER},      {"bkpt", OTHER},    {"cb", BRANCH},   {"tbl", OTHER},   {"tb", BRANCH},     {"le ", BRANCH},
    {"letp", BRANCH},    {"wls", BRANCH},    {"dls", OTHER},   {"ret", BRANCH},  {"jal", BRANCH},    {"j ", BRANCH},
    {"jr", BRANCH},      {"sqdmulh", MAC},   {"bi", OTHER},    {"bsl", OTHER},   {"b", BRANCH},
};

typedef struct {
    uint64_t first, last;
    char name[MAX_NAME + 1];
    uint64_t counts[COUNTERS];
} range_t;

/* Least and most cycles of an instruction, and what is added where the flow jumps behind it. */
typedef struct {
    uint64_t pc;
    uint64_t cycles[2], taken[2];
} cost_t;

/* What runs without a jump: where it starts and ends, and the costs of its last instruction. */
typedef struct {
    uint64_t first, end;
    const cost_t *last;
} block_t;

/* One instruction of the guest. `executed` grows always; `inside` only when a bracket closes. */
typedef struct instruction {
    struct instruction *next;
    uint64_t pc;
    uint64_t executed;
    uint64_t executed_at_start;
    uint64_t inside;
    size_t size;
    uint8_t opcode[MAX_OPCODE_BYTES];
    char *disassembly;
} instruction_t;

static range_t ranges[MAX_RANGES];
static size_t range_count;
static range_t *current_range;
static const char *table_path;
static uint64_t counters[COUNTERS], counters_before[COUNTERS];
static cost_t *costs;
static size_t cost_count;
static const block_t *block_before;
static uint64_t start_pc, stop_pc;
static FILE *out_file;
static const char *histogram_path;
static uint64_t executed, executed_at_start;
static bool is_open;
static instruction_t *buckets[BUCKETS];
static size_t instruction_count;

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fprintf(stderr, "count_instructions: out of memory\n");
        exit(1);
    }
    return memory;
}

/* What ran since the last call of this belongs to the range that was current. */
static void settle(bool counts)
{
    for (int c = 0; c < COUNTERS; c++) {
        if (counts && current_range != NULL) {
            current_range->counts[c] += counters[c] - counters_before[c];
        }
        counters_before[c] = counters[c];
    }
}

/* A jump is charged where it was taken, which is known when the next block begins. */
static void on_block(unsigned int vcpu_index, void *userdata)
{
    const block_t *block = userdata;
    (void)vcpu_index;
    if (block_before != NULL && block_before->last != NULL && block_before->end != block->first) {
        counters[LEAST_CYCLES] += block_before->last->taken[0];
        counters[MOST_CYCLES] += block_before->last->taken[1];
    }
    block_before = block;
}

static void on_range(unsigned int vcpu_index, void *userdata)
{
    (void)vcpu_index;
    if (userdata != current_range) {
        settle(is_open);
        current_range = userdata;
    }
}

/* QEMU writes the opcode in front of the mnemonic for RISC-V: four or eight hex digits, which no mnemonic is. */
static const char *mnemonic_of(const char *disassembly)
{
    const size_t digits = strspn(disassembly, "0123456789abcdef");
    const char *rest = disassembly + digits;
    if ((digits != 4 && digits != 8) || (*rest != ' ' && *rest != '\t')) {
        return disassembly;
    }
    return rest + strspn(rest, " \t");
}

static int class_of(const char *disassembly)
{
    disassembly = mnemonic_of(disassembly);
    const size_t length = strlen(disassembly);
    for (size_t k = 0; k < sizeof mnemonics / sizeof mnemonics[0]; k++) {
        const size_t prefix = strlen(mnemonics[k].prefix);
        if (prefix <= length && strncmp(disassembly, mnemonics[k].prefix, prefix) == 0) {
            if (mnemonics[k].class <= OTHER) {
                return mnemonics[k].class;
            }
            /* RISC-V stores sb, sh and sd, but Arm's sbc, shadd, sdiv and the like are none. */
            if (disassembly[prefix] == ' ' || disassembly[prefix] == '\t') {
                return STORE;
            }
        }
    }
    return OTHER;
}

static int by_address(const void *a, const void *b)
{
    const cost_t *x = a, *y = b;
    return (x->pc > y->pc) - (x->pc < y->pc);
}

static const cost_t *cost_of(uint64_t pc)
{
    const cost_t key = {.pc = pc};
    return cost_count == 0 ? NULL : bsearch(&key, costs, cost_count, sizeof costs[0], by_address);
}

static range_t *range_of(uint64_t pc)
{
    for (size_t k = 0; k < range_count; k++) {
        if (pc >= ranges[k].first && pc < ranges[k].last) {
            return &ranges[k];
        }
    }
    return NULL;
}

static void on_start(unsigned int vcpu_index, void *userdata)
{
    (void)vcpu_index;
    (void)userdata;
    settle(false);
    current_range = range_count > 0 ? &ranges[0] : NULL;
    executed_at_start = executed;
    is_open = true;
    if (histogram_path == NULL) {
        return;
    }
    for (size_t b = 0; b < BUCKETS; b++) {
        for (instruction_t *i = buckets[b]; i != NULL; i = i->next) {
            i->executed_at_start = i->executed;
        }
    }
}

static void write_table(void)
{
    if (table_path == NULL) {
        return;
    }
    FILE *file = fopen(table_path, "w");
    if (file == NULL) {
        fprintf(stderr, "count_instructions: cannot write the table %s\n", table_path);
        return;
    }
    for (size_t k = 0; k < range_count; k++) {
        fprintf(file, "%s", ranges[k].name);
        for (int c = 0; c < COUNTERS; c++) {
            fprintf(file, " %" PRIu64, ranges[k].counts[c]);
        }
        fprintf(file, "\n");
    }
    fclose(file);
}

static void on_stop(unsigned int vcpu_index, void *userdata)
{
    (void)vcpu_index;
    (void)userdata;
    if (!is_open) {
        return;
    }
    settle(true);
    is_open = false;
    fprintf(out_file, "%" PRIu64 "\n", executed - executed_at_start);
    fflush(out_file);
    write_table();
    if (histogram_path == NULL) {
        return;
    }
    for (size_t b = 0; b < BUCKETS; b++) {
        for (instruction_t *i = buckets[b]; i != NULL; i = i->next) {
            i->inside += i->executed - i->executed_at_start;
        }
    }
}

/* The counter of an instruction; made at its first translation. An instruction first translated inside an open bracket
 * starts with executed_at_start = 0, which is right: it has not run before. */
static instruction_t *find_instruction(const struct qemu_plugin_insn *insn)
{
    const uint64_t pc = qemu_plugin_insn_vaddr(insn);
    const void *opcode = qemu_plugin_insn_data(insn);
    size_t size = qemu_plugin_insn_size(insn);
    size = size > MAX_OPCODE_BYTES ? MAX_OPCODE_BYTES : size;
    instruction_t **bucket = &buckets[(pc >> 1) % BUCKETS];
    for (instruction_t *i = *bucket; i != NULL; i = i->next) {
        if (i->pc == pc && i->size == size && memcmp(i->opcode, opcode, size) == 0) {
            return i;
        }
    }
    instruction_t *made = allocate(sizeof *made);
    made->pc = pc;
    made->size = size;
    memcpy(made->opcode, opcode, size);
    made->disassembly = qemu_plugin_insn_disas(insn);
    made->next = *bucket;
    *bucket = made;
    instruction_count++;
    return made;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    const size_t n = qemu_plugin_tb_n_insns(tb);
    if (cost_count > 0 && n > 0) {
        struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, n - 1);
        block_t *block = allocate(sizeof *block);
        block->first = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
        block->end = qemu_plugin_insn_vaddr(last) + qemu_plugin_insn_size(last);
        block->last = cost_of(qemu_plugin_insn_vaddr(last));
        qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, block);
    }
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, k);
        const uint64_t pc = qemu_plugin_insn_vaddr(insn);
        if (pc == start_pc) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_start, QEMU_PLUGIN_CB_NO_REGS, NULL);
        } else if (pc == stop_pc) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_stop, QEMU_PLUGIN_CB_NO_REGS, NULL);
        } else {
            if (range_count > 0) {
                range_t *range = range_of(pc);
                char *disassembly = qemu_plugin_insn_disas(insn);
                if (range != NULL && (k == 0 || range_of(pc - 1) != range)) {
                    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_range, QEMU_PLUGIN_CB_NO_REGS, range);
                }
                qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                           &counters[class_of(disassembly)], 1);
                free(disassembly);
                const cost_t *cost = cost_of(pc);
                for (int c = 0; cost != NULL && c < 2; c++) {
                    qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                               &counters[LEAST_CYCLES + c], cost->cycles[c]);
                }
            }
            qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &executed, 1);
            if (histogram_path != NULL) {
                qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                           &find_instruction(insn)->executed, 1);
            }
        }
    }
}

static void on_vcpu(qemu_plugin_id_t id, unsigned int vcpu_index)
{
    (void)id;
    if (vcpu_index > 0) {
        fprintf(stderr, "count_instructions: more than one vCPU or thread; counts would not be deterministic\n");
        exit(1);
    }
}

static int by_pc(const void *a, const void *b)
{
    const instruction_t *const *x = a, *const *y = b;
    return ((*x)->pc > (*y)->pc) - ((*x)->pc < (*y)->pc);
}

static bool read_ranges(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "count_instructions: cannot read the ranges %s\n", path);
        return false;
    }
    while (range_count < MAX_RANGES) {
        range_t *range = &ranges[range_count];
        if (fscanf(file, "%" SCNx64 " %" SCNx64 " %63s", &range->first, &range->last, range->name) != 3) {
            break;
        }
        range_count++;
    }
    const bool complete = feof(file) && range_count > 0;
    fclose(file);
    if (!complete) {
        fprintf(stderr, "count_instructions: %s holds no ranges, too many, or something else\n", path);
    }
    return complete;
}

static bool read_costs(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t room = 0;
    if (file == NULL) {
        fprintf(stderr, "count_instructions: cannot read the costs %s\n", path);
        return false;
    }
    for (;;) {
        cost_t cost;
        if (fscanf(file, "%" SCNx64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &cost.pc, &cost.cycles[0],
                   &cost.cycles[1], &cost.taken[0], &cost.taken[1]) != 5) {
            break;
        }
        if (cost_count == room) {
            room = 2 * room + 1024;
            costs = realloc(costs, room * sizeof costs[0]);
            if (costs == NULL) {
                fprintf(stderr, "count_instructions: out of memory\n");
                exit(1);
            }
        }
        costs[cost_count++] = cost;
    }
    const bool complete = feof(file) && cost_count > 0;
    fclose(file);
    if (!complete) {
        fprintf(stderr, "count_instructions: %s holds no costs, or something else\n", path);
        return false;
    }
    qsort(costs, cost_count, sizeof costs[0], by_address);
    return true;
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *userdata)
{
    (void)id;
    (void)userdata;
    fclose(out_file);
    if (histogram_path == NULL) {
        return;
    }
    FILE *file = fopen(histogram_path, "w");
    instruction_t **all = calloc(instruction_count + 1, sizeof *all);
    if (file == NULL || all == NULL) {
        fprintf(stderr, "count_instructions: cannot write the histogram %s\n", histogram_path);
        free(all);
        if (file != NULL) {
            fclose(file);
        }
        return;
    }
    size_t n = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        for (instruction_t *i = buckets[b]; i != NULL; i = i->next) {
            if (i->inside > 0) {
                all[n++] = i;
            }
        }
    }
    qsort(all, n, sizeof(instruction_t *), by_pc);
    for (size_t k = 0; k < n; k++) {
        const instruction_t *i = all[k];
        fprintf(file, "%" PRIx64 " %" PRIu64 " %zu ", i->pc, i->inside, i->size);
        for (size_t j = 0; j < i->size; j++) {
            fprintf(file, "%02x", i->opcode[j]);
        }
        fprintf(file, " %s\n", i->disassembly != NULL ? i->disassembly : "");
    }
    free(all);
    fclose(file);
}

/* The value of argument `text` if its name is `name`, else NULL. */
static const char *value_of(const char *text, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(text, name, length) == 0 && text[length] == '=' ? text + length + 1 : NULL;
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    const char *out_path = NULL;
    if (info->version.min > qemu_plugin_version) {
        fprintf(stderr, "count_instructions: this QEMU needs plugin interface %d, this is 1\n", info->version.min);
        return -1;
    }
    for (int k = 0; k < argc; k++) {
        const char *value;
        if ((value = value_of(argv[k], "start")) != NULL) {
            start_pc = strtoull(value, NULL, 0) & ~UINT64_C(1);
        } else if ((value = value_of(argv[k], "stop")) != NULL) {
            stop_pc = strtoull(value, NULL, 0) & ~UINT64_C(1);
        } else if ((value = value_of(argv[k], "out")) != NULL) {
            out_path = strdup(value);
        } else if ((value = value_of(argv[k], "histogram")) != NULL) {
            histogram_path = strdup(value);
        } else if ((value = value_of(argv[k], "table")) != NULL) {
            table_path = strdup(value);
        } else if ((value = value_of(argv[k], "ranges")) != NULL) {
            if (!read_ranges(value)) {
                return -1;
            }
        } else if ((value = value_of(argv[k], "costs")) != NULL) {
            if (!read_costs(value)) {
                return -1;
            }
        } else {
            fprintf(
                stderr,
                "count_instructions: unknown argument '%s'; known: start, stop, out, histogram, ranges, costs, table\n",
                argv[k]);
            return -1;
        }
    }
    if (start_pc == 0 || stop_pc == 0 || start_pc == stop_pc || out_path == NULL) {
        fprintf(stderr, "count_instructions: needs start=ADDRESS,stop=ADDRESS (two functions) and out=FILE\n");
        return -1;
    }
    out_file = fopen(out_path, "a");
    if (out_file == NULL) {
        fprintf(stderr, "count_instructions: cannot write %s\n", out_path);
        return -1;
    }
    qemu_plugin_register_vcpu_init_cb(id, on_vcpu);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
