//! The system calls that decoding never needs.

use super::{Programs, refused};
use crate::Result;

/// Calls that reach other machines, other processes or the kernel itself. `io_uring` is among them because its rings
/// open sockets past any filter of system calls.
#[cfg(target_os = "linux")]
const NEVER: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_quotactl,
    libc::SYS_syslog,
];
/// Calls that start programs.
#[cfg(target_os = "linux")]
const PROGRAMS: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];

/// On x86-64 a call can also be made by its number in the 32-bit-pointer interface: this bit, and for some calls a
/// number of their own (`ptrace`, `execve`, `execveat`, `process_vm_readv`, `process_vm_writev`; Linux,
/// `arch/x86/entry/syscalls/syscall_64.tbl`).
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const X32: (i64, [i64; 3], [i64; 2]) = (0x4000_0000, [521, 539, 540], [520, 545]);

/// Core dumps off, then the filter, in all threads.
#[cfg(target_os = "linux")]
pub(super) fn restrict(programs: Programs) -> Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|e| refused("core dumps", e))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| refused("core dumps", e))?;
    let mut calls: Vec<i64> = NEVER.to_vec();
    if programs == Programs::Never {
        calls.extend(PROGRAMS);
    }
    #[cfg(target_arch = "x86_64")]
    {
        let (bit, traces, starts) = X32;
        calls.extend(NEVER.iter().chain(&traces).map(|c| c | bit));
        if programs == Programs::Never {
            calls.extend(PROGRAMS.iter().chain(&starts).map(|c| c | bit));
        }
    }
    let rules = calls.into_iter().map(|c| (c, vec![])).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| refused("seccomp", e))?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(|e| refused("seccomp", e))?;
    let program: BpfProgram = filter.try_into().map_err(|e| refused("seccomp", e))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|e| refused("seccomp", e))
}

/// Other systems have none of this.
#[cfg(not(target_os = "linux"))]
pub(super) fn restrict(_programs: Programs) -> Result<()> {
    Err(refused("this system", "only Linux has seccomp and Landlock"))
}
