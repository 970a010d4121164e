/* Which functions of a program are entered: a breakpoint stands on each until it is hit once, in every process that the
 * program becomes, until it executes another one. Prints their addresses, as
 * they are in the file, each after a @.
 * Usage: entered [-p] ADDRESSES PROGRAM ARGS...; ADDRESSES: a file, hexadecimal; -p: the first process alone, and what
 * shares its memory (a traced container is refused by the verification, as it should be). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 1 << 18, SIZE = 64 << 20 };
static unsigned long entries[MOST];
static unsigned char was[MOST], hit[MOST], text[SIZE];
static int count;
static struct process { pid_t pid; unsigned long base; } all[256];
static int processes;

static struct process *of(pid_t pid) {
    for (int i = 0; i < processes; i++)
        if (all[i].pid == pid) return &all[i];
    if (processes == 256) exit(1);
    all[processes].pid = pid;
    return &all[processes++];
}

static unsigned long loaded_at(pid_t pid, const char *program) {
    char path[64], line[PATH_MAX + 128];
    unsigned long base = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    while (maps && !base && fgets(line, sizeof line, maps))
        if (strstr(line, program)) base = strtoul(line, NULL, 16);
    if (maps) fclose(maps);
    return base;
}

static int memory(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    return open(path, O_RDWR | O_CLOEXEC);
}

static void put(int to, unsigned long at, unsigned char byte) {
    if (pwrite(to, &byte, 1, (off_t)at) != 1) perror("entered: write");
}

/* A breakpoint on every function (of a process that has none), or none any more. */
static void all_of(struct process *process, int set) {
    int to = memory(process->pid);
    if (set && pread(to, text, SIZE, (off_t)process->base) < 0) perror("entered: read");
    for (int i = 0; i < count; i++) {
        if (set) was[i] = text[entries[i]];
        put(to, process->base + entries[i], set ? 0xcc : was[i]);
    }
    close(to);
}

static int compare(const void *a, const void *b) {
    unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;
    return x < y ? -1 : x > y;
}

static int is_hit(struct process *process) {
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, process->pid, 0, &regs);
    unsigned long at = regs.rip - 1 - process->base;
    unsigned long *found = bsearch(&at, entries, count, sizeof at, compare);
    if (!found) return 0;
    int to = memory(process->pid);
    put(to, process->base + at, was[found - entries]);
    close(to);
    hit[found - entries] = 1;
    regs.rip--;
    ptrace(PTRACE_SETREGS, process->pid, 0, &regs);
    return 1;
}

/* Whether a process is making one that runs in the same memory: its breakpoints are ours. */
static int shares_memory(pid_t pid) {
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    return regs.orig_rax == SYS_clone && regs.rdi & CLONE_VM;
}

int main(int argc, char **argv) {
    int alone = argc > 1 && !strcmp(argv[1], "-p");
    char **command = argv + 2 + alone, program[PATH_MAX];
    if (argc < 3 + alone || !realpath(command[0], program)) return 2;
    FILE *list = fopen(argv[1 + alone], "r");
    while (list && count < MOST && fscanf(list, "%lx", &entries[count]) == 1) count += entries[count] < SIZE;
    qsort(entries, count, sizeof *entries, compare);
    pid_t first = fork();
    if (first == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(program, command);
        _exit(127);
    }
    int status;
    waitpid(first, &status, __WALL);
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    ptrace(PTRACE_SETOPTIONS, first, 0, options);
    ptrace(PTRACE_CONT, first, 0, 0);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) continue;
        struct process *process = of(pid);
        int event = status >> 16, signal = WSTOPSIG(status), on = 0;
        if (event == PTRACE_EVENT_EXEC) {
            process->base = loaded_at(pid, program);
            if (process->base) all_of(process, 1);
        } else if (event) {
            unsigned long made;
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &made);
            struct process *child = of((pid_t)made);
            child->base = process->base;
            if (alone && !shares_memory(pid)) {
                waitpid(child->pid, &status, __WALL);
                all_of(child, 0);
                ptrace(PTRACE_DETACH, child->pid, 0, 0);
            }
        } else if (signal == SIGTRAP ? !is_hit(process) : signal != SIGSTOP) {
            on = signal;
        }
        ptrace(PTRACE_CONT, pid, 0, on);
    }
    for (int i = 0; i < count; i++)
        if (hit[i]) printf("@%lx\n", entries[i]);
    return 0;
}
