//! The system calls that a command inside namespaces may not make: a seccomp filter.
//!
//! They are those that docker's default profile refuses to a container without more capabilities: they change the machine
//! (modules, clocks, swap), or lead into parts of the kernel that hardly any program needs and in which faults were found
//! again and again (namespaces of its own, mounts, bpf, keys, io_uring).

use nix::libc::{self, sock_filter, sock_fprog};

/// Where number, machine and arguments stand in the kernel's `seccomp_data`; of an argument the lower half counts.
const NUMBER_AT: u32 = 0;
const MACHINE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW_NAMESPACES: u32 = 0x7e02_0000;

/// Requests that put characters into a terminal's input: `TIOCSTI`, `TIOCLINUX`.
const TERMINAL_INPUT: [u32; 2] = [0x5412, 0x541c];

/// The calls of one architecture.
struct Calls {
    /// What the kernel calls it (`linux/audit.h`).
    machine: u32,
    refused: &'static [libc::c_long],
    clone: libc::c_long,
    clone3: libc::c_long,
    ioctl: libc::c_long,
}

/// The calls that every architecture has.
macro_rules! refused {
    ($($more:expr),*) => {
        &[
            libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_reboot,
            libc::SYS_sethostname, libc::SYS_setdomainname, libc::SYS_init_module, libc::SYS_delete_module,
            libc::SYS_finit_module, libc::SYS_kexec_load, libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd,
            libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl, libc::SYS_open_by_handle_at, libc::SYS_acct,
            libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_quotactl, libc::SYS_setns, libc::SYS_unshare,
            libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_open_tree,
            libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick,
            libc::SYS_mount_setattr, libc::SYS_vhangup, $($more),*
        ]
    };
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[Calls] = &[
    Calls {
        machine: 0xc000_003e,
        refused: refused![libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_kexec_file_load],
        clone: libc::SYS_clone,
        clone3: libc::SYS_clone3,
        ioctl: libc::SYS_ioctl,
    },
    // The same for programs of 32 bits, in the order of `arch/x86/entry/syscalls/syscall_32.tbl`.
    Calls {
        machine: 0x4000_0003,
        refused: &[
            21, 22, 25, 51, 52, 74, 79, 87, 88, 101, 110, 111, 115, 121, 128, 129, 131, 217, 264, 283, 286, 287, 288,
            310, 336, 342, 346, 350, 357, 374, 404, 425, 426, 427, 428, 429, 430, 431, 432, 433, 442,
        ],
        clone: 120,
        clone3: 435,
        ioctl: 54,
    },
];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[Calls] = &[Calls {
    machine: 0xc000_00b7,
    refused: refused![],
    clone: libc::SYS_clone,
    clone3: libc::SYS_clone3,
    ioctl: libc::SYS_ioctl,
}];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURES: &[Calls] = &[];

/// The filter; empty on a machine whose calls are not known here.
pub(super) fn filter() -> Vec<sock_filter> {
    if ARCHITECTURES.is_empty() {
        return Vec::new();
    }
    let mut filter = vec![load(MACHINE_AT)];
    for calls in ARCHITECTURES {
        let rules = rules(calls);
        // A jump over all of an architecture's rules may be too far for a conditional one.
        filter.push(jump(libc::BPF_JEQ, calls.machine, 1, 0));
        filter.push(statement(libc::BPF_JMP | libc::BPF_JA, rules.len() as u32));
        filter.extend(rules);
    }
    // Another architecture, which this machine can only run where its kernel is for it.
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    filter
}

/// The filter as the kernel takes it; `filter` must outlive the call.
pub(super) fn program(filter: &mut [sock_filter]) -> sock_fprog {
    sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() }
}

/// The rules of one architecture; each way through them ends in an answer.
fn rules(calls: &Calls) -> Vec<sock_filter> {
    let (refuse, unknown) = (answer(errno(libc::EPERM)), answer(errno(libc::ENOSYS)));
    let mut rules = vec![load(NUMBER_AT)];
    // x32 has its numbers above this one, and no program.
    rules.extend([jump(libc::BPF_JGE, 0x4000_0000, 0, 1), unknown]);
    for number in calls.refused {
        rules.extend([jump(libc::BPF_JEQ, *number as u32, 0, 1), refuse]);
    }
    // What it asks for lies in memory, which a filter cannot see; libraries then use clone.
    rules.extend([jump(libc::BPF_JEQ, calls.clone3 as u32, 0, 1), unknown]);
    rules.extend([
        jump(libc::BPF_JEQ, calls.clone as u32, 0, 4),
        load(ARGUMENTS_AT),
        jump(libc::BPF_JSET, NEW_NAMESPACES, 0, 1),
        refuse,
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    let [first, second] = TERMINAL_INPUT;
    rules.extend([
        jump(libc::BPF_JEQ, calls.ioctl as u32, 0, 4),
        load(ARGUMENTS_AT + 8),
        jump(libc::BPF_JEQ, first, 1, 0),
        jump(libc::BPF_JEQ, second, 0, 1),
        refuse,
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    rules
}

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn load(at: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at)
}

fn answer(answer: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, answer)
}

fn jump(condition: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | condition | libc::BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn run(machine: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let filter = filter();
        let (mut at, mut value) = (0, 0);
        loop {
            let statement = filter[at];
            at += 1;
            let (code, k) = (u32::from(statement.code), statement.k);
            let branch = |yes: bool| usize::from(if yes { statement.jt } else { statement.jf });
            match code & 7 {
                libc::BPF_LD => {
                    value = match k {
                        MACHINE_AT => machine,
                        NUMBER_AT => number,
                        at => arguments[(at - ARGUMENTS_AT) as usize / 8],
                    }
                }
                libc::BPF_JMP => {
                    at += match code & 0xf0 {
                        libc::BPF_JA => k as usize,
                        libc::BPF_JEQ => branch(value == k),
                        libc::BPF_JGE => branch(value >= k),
                        libc::BPF_JSET => branch(value & k != 0),
                        other => panic!("{other}"),
                    }
                }
                _ => return k,
            }
        }
    }

    #[test]
    fn what_leads_out_is_refused_and_everything_else_allowed() {
        let (refused, unknown) = (errno(libc::EPERM), errno(libc::ENOSYS));
        for calls in ARCHITECTURES {
            let run = |number, arguments| run(calls.machine, number as u32, arguments);
            for number in calls.refused {
                assert_eq!(run(*number, [0; 2]), refused, "{number}");
            }
            assert_eq!(run(calls.clone3, [0; 2]), unknown);
            assert_eq!(run(0x4000_0001, [0; 2]), unknown);
            assert_eq!(run(calls.clone, [libc::CLONE_NEWUSER as u32, 0]), refused);
            assert_eq!(run(calls.clone, [libc::CLONE_VM as u32 | 17, 0]), libc::SECCOMP_RET_ALLOW);
            for request in TERMINAL_INPUT {
                assert_eq!(run(calls.ioctl, [0, request]), refused);
            }
            assert_eq!(run(calls.ioctl, [0, 0x5401]), libc::SECCOMP_RET_ALLOW);
            let taken = |number: &libc::c_long| {
                calls.refused.contains(number) || [calls.clone, calls.clone3, calls.ioctl].contains(number)
            };
            for number in (0..500).filter(|number| !taken(number)) {
                assert_eq!(run(number, [libc::CLONE_NEWUSER as u32, TERMINAL_INPUT[0]]), libc::SECCOMP_RET_ALLOW);
            }
        }
        assert_eq!(run(1, 165, [0; 2]), libc::SECCOMP_RET_ALLOW);
    }
}
