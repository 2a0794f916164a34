//! A seccomp filter that leaves reading standard input, writing standard output, memory and ending. The program is made
//! here because the crates for it either need a C library or know no 32-bit ARM.

use std::io;

/// What the kernel calls this architecture; the numbers of system calls mean nothing without it.
const ARCH: Option<u32> = if cfg!(target_endian = "big") {
    None
} else if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else if cfg!(target_arch = "riscv64") {
    Some(0xc000_00f3)
} else if cfg!(target_arch = "arm") {
    Some(0x4000_0028)
} else {
    None
};

/// Where `struct seccomp_data` has the number, the architecture and the arguments.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
/// An error and not death: another libc may ask for something harmless at its end, and a stick is not to be refused for it.
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// The bits `mask` of an argument's lower half must be `value`.
#[derive(Clone, Copy)]
struct Only {
    argument: u32,
    mask: u32,
    value: u32,
}

/// A call that is allowed when all conditions hold.
type Rule = (libc::c_long, &'static [Only]);

const STDIN: Only = Only { argument: 0, mask: u32::MAX, value: 0 };
const STDOUT: Only = Only { argument: 0, mask: u32::MAX, value: 1 };
const NOT_CODE: Only = Only { argument: 2, mask: libc::PROT_EXEC as u32, value: 0 };
/// Memory, not a file: the descriptor is -1.
const NO_FILE: Only = Only { argument: 4, mask: u32::MAX, value: u32::MAX };

const RULES: &[Rule] = &[
    (libc::SYS_pread64, &[STDIN]),
    (libc::SYS_write, &[STDOUT]),
    #[cfg(target_arch = "arm")]
    (libc::SYS_mmap2, &[NOT_CODE, NO_FILE]),
    #[cfg(not(target_arch = "arm"))]
    (libc::SYS_mmap, &[NOT_CODE, NO_FILE]),
    (libc::SYS_mprotect, &[NOT_CODE]),
    (libc::SYS_munmap, &[]),
    (libc::SYS_mremap, &[]),
    (libc::SYS_madvise, &[]),
    (libc::SYS_brk, &[]),
    (libc::SYS_futex, &[]),
    (libc::SYS_clock_gettime, &[]),
    // Their forms with 64-bit times, which libc has no names for.
    #[cfg(target_arch = "arm")]
    (403, &[]),
    #[cfg(target_arch = "arm")]
    (422, &[]),
    (libc::SYS_getrandom, &[]),
    (libc::SYS_close, &[]),
    (libc::SYS_sigaltstack, &[]),
    (libc::SYS_rt_sigprocmask, &[]),
    (libc::SYS_rt_sigreturn, &[]),
    (libc::SYS_restart_syscall, &[]),
    (libc::SYS_exit, &[]),
    (libc::SYS_exit_group, &[]),
];

const fn step(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Goes on when the value at hand is `k`, else passes over `skip` steps.
const fn unless(k: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf: skip, k }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const MASK: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const END: u32 = libc::BPF_RET | libc::BPF_K;

fn program(arch: u32, rules: &[Rule]) -> Vec<libc::sock_filter> {
    let is_ours = libc::sock_filter { jt: 1, ..unless(arch, 0) };
    let mut program = vec![step(LOAD, ARCH_AT), is_ours, step(END, KILL), step(LOAD, NUMBER_AT)];
    for (number, conditions) in rules {
        let mut block = Vec::new();
        for (index, only) in conditions.iter().enumerate() {
            // Past the conditions that are left and the step that allows.
            let left = (conditions.len() - 1 - index) as u8 * 3 + 1;
            block.extend([
                step(LOAD, ARGUMENTS_AT + 8 * only.argument),
                step(MASK, only.mask),
                unless(only.value, left),
            ]);
        }
        block.extend([step(END, ALLOW), step(END, REFUSE)]);
        program.push(unless(*number as u32, block.len() as u8));
        program.extend(block);
    }
    program.push(step(END, REFUSE));
    program
}

/// Whether the kernel takes such filters, and this program can make one for this architecture.
pub(super) fn is_available() -> bool {
    let action = KILL;
    // SAFETY: the call reads one u32.
    let known = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0 as libc::c_uint, &raw const action)
    };
    ARCH.is_some() && known == 0
}

/// Leaves to every thread of this process reading and little else; false when the kernel has no seccomp. Takes
/// `no_new_privs`.
pub fn allow_reading_alone() -> io::Result<bool> {
    let Some(arch) = ARCH.filter(|_| is_available()) else { return Ok(false) };
    let mut steps = program(arch, RULES);
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which is alive, of the length that it is told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    if done == 0 { Ok(true) } else { Err(io::Error::last_os_error()) }
}
