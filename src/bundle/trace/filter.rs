//! The program that the kernel runs at each system call of a tracee: calls that take a path stop, all others go on.

use nix::libc::{self, sock_filter, sock_fprog};

use super::call::calls;
use crate::platform::Arch;

/// What the numbers of system calls mean for a program of this machine (`linux/audit.h`). Where this program knows no
/// number, no filter fits, and every call stops.
fn machine() -> u32 {
    Arch::native().map_or(0, |arch| arch.facts().audit)
}

/// Where number, machine and first argument (its lower half) stand in the kernel's `seccomp_data`.
const NUMBER_AT: u32 = 0;
const MACHINE_AT: u32 = 4;
const FIRST_ARGUMENT_AT: u32 = 16;

/// The filter.
pub(super) fn filter() -> Vec<sock_filter> {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let set = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    let end = (libc::BPF_RET | libc::BPF_K) as u16;
    let statement = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let error = |number: i32| statement(end, libc::SECCOMP_RET_ERRNO | number as u32);
    // No child that a tracer would not see: it would outlive the run. What clone3 asks for lies in memory, where a filter
    // cannot look; libraries then use clone.
    let children = [
        sock_filter { code: equal, jt: 0, jf: 1, k: libc::SYS_clone3 as u32 },
        error(libc::ENOSYS),
        sock_filter { code: equal, jt: 0, jf: 4, k: libc::SYS_clone as u32 },
        statement(load, FIRST_ARGUMENT_AT),
        sock_filter { code: set, jt: 0, jf: 1, k: libc::CLONE_UNTRACED as u32 },
        error(libc::EPERM),
        statement(end, libc::SECCOMP_RET_ALLOW),
    ];
    let numbers: Vec<u32> = calls().map(|call| call.number as u32).collect();
    // Jumps count the statements that are left out.
    let count = numbers.len() as u8;
    let mut filter = vec![
        statement(load, MACHINE_AT),
        sock_filter { code: equal, jt: 0, jf: count + children.len() as u8 + 1, k: machine() },
        statement(load, NUMBER_AT),
    ];
    filter.extend(children);
    for (number, position) in numbers.iter().zip(0_u8..) {
        filter.push(sock_filter { code: equal, jt: count - position, jf: 0, k: *number });
    }
    filter.push(statement(end, libc::SECCOMP_RET_ALLOW));
    filter.push(statement(end, libc::SECCOMP_RET_TRACE));
    filter
}

/// The filter as the kernel takes it; `filter` must outlive the call.
pub(super) fn program(filter: &mut [sock_filter]) -> sock_fprog {
    sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn run(filter: &[sock_filter], machine: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let statement = filter[at];
            at += 1;
            match u32::from(statement.code) & 7 {
                libc::BPF_LD => {
                    value = match statement.k {
                        MACHINE_AT => machine,
                        NUMBER_AT => number,
                        _ => argument,
                    }
                }
                libc::BPF_JMP => {
                    let bits = u32::from(statement.code) & 0xf0 == libc::BPF_JSET;
                    let yes = if bits { value & statement.k != 0 } else { value == statement.k };
                    at += usize::from(if yes { statement.jt } else { statement.jf });
                }
                _ => return statement.k,
            }
        }
    }

    #[test]
    fn calls_with_a_path_stop_and_no_others() {
        let filter = filter();
        for call in calls() {
            assert_eq!(run(&filter, machine(), call.number as u32, 0), libc::SECCOMP_RET_TRACE, "{call:?}");
            assert_eq!(run(&filter, machine() + 1, call.number as u32, 0), libc::SECCOMP_RET_ALLOW);
        }
        for number in [libc::SYS_read, libc::SYS_close, libc::SYS_mmap, 9999] {
            assert_eq!(run(&filter, machine(), number as u32, 0), libc::SECCOMP_RET_ALLOW, "{number}");
        }
        let untraced = libc::CLONE_UNTRACED as u32;
        let clone = |number: libc::c_long, flags| run(&filter, machine(), number as u32, flags);
        assert_eq!(clone(libc::SYS_clone, untraced | 17), libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        assert_eq!(clone(libc::SYS_clone, 17), libc::SECCOMP_RET_ALLOW);
        assert_eq!(clone(libc::SYS_clone3, 0), libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
    }
}
