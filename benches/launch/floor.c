/* The least any launcher must do, with the same namespaces as `cofferdam run`: one clone3, id maps, private
 * propagation, bind + read-only remount of the root, proc, a small tmpfs on /dev, pivot_root, no_new_privs, execve,
 * waitpid. No seccomp, landlock, cgroups, limits, verification or record. Usage: floor ROOT PROGRAM */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(long result, const char *what) {
    if (result < 0) {
        perror(what);
        _exit(125);
    }
}

static void put(int pid, const char *file, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    need(fd, path);
    need(write(fd, text, strlen(text)), path);
    close(fd);
}

static void child(char *root, char *program, int go) {
    char byte;
    need(read(go, &byte, 1), "read");
    need(setresgid(0, 0, 0), "setresgid");
    need(setresuid(0, 0, 0), "setresuid");
    need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
    need(mount(root, root, NULL, MS_BIND, NULL), "bind");
    need(mount(NULL, root, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), "remount");
    need(chdir(root), "chdir");
    need(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
    need(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k"), "dev");
    need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    need(umount2(".", MNT_DETACH), "umount2");
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    char *argv[] = {program, NULL}, *envp[] = {NULL};
    execve(program, argv, envp);
    perror("execve");
    _exit(126);
}

int main(int argc, char **argv) {
    int go[2];
    if (argc != 3) return 125;
    need(pipe2(go, O_CLOEXEC), "pipe2");
    struct clone_args args = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        .exit_signal = 17,
    };
    long pid = syscall(SYS_clone3, &args, sizeof args);
    need(pid, "clone3");
    if (pid == 0) child(argv[1], argv[2], go[0]);
    put(pid, "uid_map", "0 1000000 65536\n");
    put(pid, "gid_map", "0 1000000 65536\n");
    need(write(go[1], "x", 1), "write");
    int status;
    need(waitpid(pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
