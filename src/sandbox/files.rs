//! The files that a job needs, and no others.

use super::State;
#[cfg(target_os = "linux")]
use super::refused;
use crate::Result;
use std::path::{Path, PathBuf};

/// What every process reads: libraries, their cache and settings, and what tells how many processors there are.
const SYSTEM: [&str; 18] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/urandom",
    "/dev/random",
];
/// What is written besides outputs.
const DEVICES: [&str; 2] = ["/dev/null", "/dev/zero"];
/// What the driver of a GPU and its libraries need besides.
const GPU: ([&str; 4], &str) = (["/proc", "/sys", "/usr/local", "/opt"], "/dev");
/// Entries below a folder that are looked at for links that lead out of it, and how deep.
const LINKS: (usize, usize) = (10_000, 3);

/// Files and folders that a job may use. Paths that do not exist are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    gpu: bool,
}

impl Access {
    /// A file or a folder (with all below it) that is read. Links below a folder may lead out of it.
    pub fn read(&mut self, path: &Path) {
        self.read.push(path.to_owned());
        follow(path, LINKS.1, &mut { LINKS.0 }, &mut self.read);
    }

    /// The folder of a file that is written: files in it may be made, replaced and removed.
    pub fn write_beside(&mut self, file: &Path) {
        let folder = match file.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        self.write_in(folder);
    }

    /// A folder that is written.
    pub fn write_in(&mut self, folder: &Path) {
        self.write.push(folder.to_owned());
    }

    /// What the driver of a GPU needs too: its devices, and what tells it about the machine.
    pub fn gpu(&mut self) {
        self.gpu = true;
    }
}

/// Where the links in a folder lead, as long as there are entries left to look at.
fn follow(path: &Path, depth: usize, left: &mut usize, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        *left = left.saturating_sub(1);
        match entry.file_type() {
            _ if *left == 0 => return,
            Ok(t) if t.is_symlink() => into.extend(entry.path().canonicalize()),
            Ok(t) if t.is_dir() && depth > 0 => follow(&entry.path(), depth - 1, left, into),
            _ => {}
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) fn restrict(access: &Access) -> Result<State> {
    use landlock::Access as _;
    use landlock::{
        ABI, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
        RulesetCreatedAttr, RulesetStatus, Scope,
    };
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count).map_err(|e| refused("threads", e))?;
    if threads > 1 {
        return Err(refused("Landlock", format!("{threads} threads run already, and would not be held by it")));
    }
    // The newest rights that are handled here; an older kernel restricts those it knows.
    let abi = ABI::V6;
    let read = (AccessFs::from_read(abi) & !AccessFs::Execute) | AccessFs::ReadFile;
    let special =
        AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::MakeFifo | AccessFs::MakeSym;
    let write = read | (AccessFs::from_write(abi) & !special);
    let device = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    let landlock = |e: landlock::RulesetError| refused("Landlock", e);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|r| r.handle_access(AccessNet::from_all(abi)))
        .and_then(|r| r.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .map_err(landlock)?;
    let (gpu_reads, gpu_devices) = GPU;
    let system = SYSTEM.iter().map(Path::new).chain(access.read.iter().map(PathBuf::as_path));
    let libraries: Vec<PathBuf> =
        std::env::var_os("LD_LIBRARY_PATH").map_or_else(Vec::new, |v| std::env::split_paths(&v).collect());
    let mut list: Vec<(&Path, _)> = system.map(|p| (p, read)).collect();
    list.extend(libraries.iter().filter(|p| !p.as_os_str().is_empty()).map(|p| (p.as_path(), read)));
    list.extend(access.write.iter().map(|p| (p.as_path(), write)));
    list.extend(DEVICES.iter().map(|p| (Path::new(*p), device)));
    if access.gpu {
        list.extend(gpu_reads.iter().map(|p| (Path::new(*p), read)));
        list.push((Path::new(gpu_devices), device));
    }
    for (path, rights) in list {
        let Ok(meta) = std::fs::metadata(path) else { continue };
        let Ok(fd) = PathFd::new(path) else { continue };
        let rights = if meta.is_dir() { rights } else { rights & AccessFs::from_file(abi) };
        rules = rules.add_rule(PathBeneath::new(fd, rights)).map_err(landlock)?;
    }
    let status = rules.restrict_self().map_err(landlock)?;
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => kernel_abi.unwrap_or(effective_abi as i32),
        _ => 0,
    };
    Ok(if status.ruleset == RulesetStatus::NotEnforced { State::NoLandlock } else { State::Confined(version) })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn restrict(_access: &Access) -> Result<State> {
    Ok(State::NoLandlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_out_of_a_folder_that_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in/deep"), dir.path().join("out"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let mut access = Access::default();
        access.read(&dir.path().join("in"));
        access.write_beside(Path::new("film.mp4"));
        assert_eq!(access.read, [dir.path().join("in"), outside.canonicalize().unwrap()]);
        assert_eq!(access.write, [Path::new(".")]);
    }
}
