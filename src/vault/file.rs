//! The vault on disk: who may open it, what it holds, and how it changes without being lost.

use super::passphrase::Passphrase;
use super::seal::{NONCE, SealingKey, TAG, Work};
use super::seeds::{Seeds, derive};
use super::{Key, fill_random, random_key};
use crate::{Error, Result, files};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// First bytes of a vault.
pub(crate) const MAGIC: &[u8; 8] = b"UNDRVALT";
const VERSION: u16 = 1;
const SALT: usize = 32;
/// Magic word, version, work, salt.
const HEAD: usize = 8 + 2 + 12 + SALT;
/// Jobs whose render seeds are kept; of more, the oldest is forgotten and begins anew.
const MOST_RENDERS: usize = 64;
/// Seed, number of renders, then pairs of job and seed; always as long, so that its length tells nothing.
const CONTENT: usize = 32 + 4 + MOST_RENDERS * 64;
const WHOLE: usize = HEAD + NONCE + CONTENT + TAG;

/// An opened vault. Holds the project's seed in memory, wiped when dropped.
pub struct Vault {
    path: PathBuf,
    head: [u8; HEAD],
    key: SealingKey,
    seed: Key,
}

/// Number of renders that were begun and not published yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingRenders(pub usize);

/// A vault as read from disk.
struct Sealed<'b> {
    head: [u8; HEAD],
    nonce: [u8; NONCE],
    content: &'b [u8],
}

/// What a vault holds.
struct Content {
    seed: Key,
    /// Digest of the job, seed of its render; oldest first.
    renders: Vec<([u8; 32], Key)>,
}

impl Vault {
    /// Makes a vault with a fresh seed. Owner-only (0600).
    ///
    /// # Errors
    /// `Usage` if something is there already or the passphrase is too short, `Io` if it cannot be written.
    pub fn create(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        passphrase.check_new()?;
        if path.symlink_metadata().is_ok() {
            return Err(Error::Usage(format!("something of this name is there already: {}", path.display())));
        }
        let work = Work::DEFAULT;
        let mut head = [0u8; HEAD];
        head[..8].copy_from_slice(MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_le_bytes());
        for (k, n) in [work.memory_kib, work.passes, work.lanes].into_iter().enumerate() {
            head[10 + 4 * k..14 + 4 * k].copy_from_slice(&n.to_le_bytes());
        }
        fill_random(&mut head[HEAD - SALT..])?;
        let key = work.stretch(passphrase.bytes(), &head[HEAD - SALT..])?;
        let mut vault = Vault { path: path.to_owned(), head, key, seed: random_key()? };
        let bytes = vault.bytes(&Content { seed: vault.seed.clone(), renders: vec![] })?;
        files::write_private_new(path, |file| file.write_all(&bytes))?;
        vault.path = real(path)?;
        Ok(vault)
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// `Usage` if there is none or the passphrase is wrong; `Input` if it is damaged.
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        let bytes = read(path)?;
        let sealed = Sealed::parse(&bytes).map_err(|e| name(e, path))?;
        let salt = &sealed.head[HEAD - SALT..];
        let key = sealed.work().stretch(passphrase.bytes(), salt).map_err(|e| name(e, path))?;
        let Some(text) = key.open(&sealed.nonce, &sealed.head, sealed.content) else {
            return Err(Error::Usage(format!("the passphrase is wrong, or the vault was altered: {}", path.display())));
        };
        let content = Content::read(&text).map_err(|e| name(e, path))?;
        Ok(Vault { path: real(path)?, head: sealed.head, key, seed: content.seed })
    }

    /// Where the vault is, without links: it is changed by putting another file in its place, and behind a link the old one
    /// would stay.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Key of a sealed file; `salt` is stored in it.
    pub(super) fn file_key(&self, purpose: &str, salt: &[u8]) -> SealingKey {
        SealingKey::new(derive(&self.seed, purpose, salt))
    }

    /// Key of the checkpoint of a job; `salt` is stored in the checkpoint.
    pub(crate) fn checkpoint_key(&self, salt: &[u8]) -> SealingKey {
        SealingKey::new(derive(&self.seed, "checkpoint", salt))
    }

    /// The seeds of a job: new ones, stored before this returns, or those of an earlier run of the same job that was
    /// not published.
    ///
    /// # Errors
    /// `Usage` if the vault was sealed or replaced meanwhile, `Io` if it cannot be written.
    pub fn begin_render(&self, job: &[u8; 32]) -> Result<Seeds> {
        let mut render = None;
        self.change(|content| {
            if let Some((_, seed)) = content.renders.iter().find(|(j, _)| j == job) {
                render = Some(seed.clone());
                return Ok(false);
            }
            let seed = random_key()?;
            if content.renders.len() >= MOST_RENDERS {
                content.renders.remove(0);
            }
            content.renders.push((*job, seed.clone()));
            render = Some(seed);
            Ok(true)
        })?;
        let render = render.ok_or(Error::Cancelled)?;
        Ok(Seeds::kept(self.seed.clone(), render))
    }

    /// Forgets the seeds of a job whose film was published.
    ///
    /// # Errors
    /// As [`Vault::begin_render`].
    pub fn end_render(&self, job: &[u8; 32]) -> Result<()> {
        self.change(|content| {
            // A list of its own: taking out of the middle would leave copies of what stood behind.
            let kept = content.renders.iter().filter(|(j, _)| j != job).cloned().collect();
            let before = std::mem::replace(&mut content.renders, kept);
            Ok(content.renders.len() != before.len())
        })
    }

    /// How many renders were begun and not published.
    ///
    /// # Errors
    /// As [`Vault::begin_render`].
    pub fn pending(&self) -> Result<PendingRenders> {
        let mut pending = 0;
        self.change(|content| {
            pending = content.renders.len();
            Ok(false)
        })?;
        Ok(PendingRenders(pending))
    }

    /// Destroys the vault at `path`, without its passphrase: overwrites it with noise and removes it.
    ///
    /// Solid-state drives, snapshots and backups may keep older copies; what they keep is encrypted.
    ///
    /// # Errors
    /// `Usage` if this is no vault, `Io` if it cannot be overwritten.
    pub fn destroy(path: &Path) -> Result<()> {
        if let Err(e) = path.metadata() {
            return Err(missing(path, &e));
        }
        if files::shred(path, |head| head.starts_with(MAGIC))? {
            return Ok(());
        }
        Err(Error::Usage(format!("this is no vault, and was not touched: {}", path.display())))
    }

    /// Reads the vault as it is now, lets `edit` change it, and writes it if that returns `true`; one process at a time.
    fn change(&self, edit: impl FnOnce(&mut Content) -> Result<bool>) -> Result<()> {
        let _lock = self.lock()?;
        let bytes = read(&self.path)?;
        let sealed = Sealed::parse(&bytes).map_err(|e| name(e, &self.path))?;
        let text = (sealed.head == self.head).then(|| self.key.open(&sealed.nonce, &sealed.head, sealed.content));
        let Some(text) = text.flatten() else {
            return Err(Error::Usage(format!("the vault was replaced while it was in use: {}", self.path.display())));
        };
        let mut content = Content::read(&text).map_err(|e| name(e, &self.path))?;
        if edit(&mut content)? { self.write(&content) } else { Ok(()) }
    }

    /// Locks the file that has the vault's name; it may be replaced by another between opening and locking.
    fn lock(&self) -> Result<File> {
        use std::os::unix::fs::MetadataExt;
        let same = |file: &File| {
            let (a, b) = (file.metadata().ok()?, self.path.metadata().ok()?);
            Some((a.dev(), a.ino()) == (b.dev(), b.ino()))
        };
        for _ in 0..1000 {
            let file = File::open(&self.path).map_err(|e| missing(&self.path, &e))?;
            file.lock().map_err(|e| Error::io("cannot lock the vault", &self.path, e))?;
            if same(&file) == Some(true) {
                return Ok(file);
            }
        }
        Err(Error::Usage(format!("the vault is changed all the time by others: {}", self.path.display())))
    }

    fn write(&self, content: &Content) -> Result<()> {
        let bytes = self.bytes(content)?;
        files::write_private(&self.path, |file| file.write_all(&bytes))
    }

    /// The file, sealed.
    fn bytes(&self, content: &Content) -> Result<Vec<u8>> {
        let mut nonce = [0u8; NONCE];
        fill_random(&mut nonce)?;
        let sealed = self.key.seal(&nonce, &self.head, &content.bytes())?;
        Ok([&self.head[..], &nonce, &sealed].concat())
    }
}

fn real(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|e| missing(path, &e))
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

fn missing(path: &Path, e: &std::io::Error) -> Error {
    Error::Usage(format!(
        "cannot open the vault ({e}); `understudy vault new` makes one, and nothing brings back one that was sealed: {}",
        path.display()
    ))
}

fn damaged(what: &str) -> Error {
    Error::Input(format!("the vault is damaged ({what}); take it from a backup"))
}

/// Adds the path to an error about the vault.
fn name(e: Error, path: &Path) -> Error {
    match e {
        Error::Input(text) => Error::Input(format!("{text}: {}", path.display())),
        Error::Limit(text) => Error::Limit(format!("{text}: {}", path.display())),
        Error::Usage(text) => Error::Usage(format!("{text}: {}", path.display())),
        other => other,
    }
}

/// The bytes of a vault; one more than it may have at most.
fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| missing(path, &e))?;
    let mut bytes = Vec::with_capacity(WHOLE + 1);
    file.take(WHOLE as u64 + 1).read_to_end(&mut bytes).map_err(|e| Error::io("cannot read the vault", path, e))?;
    Ok(bytes)
}

impl<'b> Sealed<'b> {
    fn parse(bytes: &'b [u8]) -> Result<Self> {
        if !bytes.starts_with(MAGIC) {
            return Err(Error::Usage("this is no vault (`understudy vault new` makes one)".into()));
        }
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Err(damaged("cut off")) };
        let version = u16::from_le_bytes([head[8], head[9]]);
        if version != VERSION {
            return Err(Error::Input(format!(
                "vault version {version} cannot be read by this build (it reads {VERSION})"
            )));
        }
        let Some((nonce, content)) = rest.split_first_chunk::<NONCE>() else { return Err(damaged("cut off")) };
        if content.len() != CONTENT + TAG {
            return Err(damaged(if content.len() < CONTENT + TAG { "cut off" } else { "too long" }));
        }
        Ok(Sealed { head: *head, nonce: *nonce, content })
    }

    fn work(&self) -> Work {
        let number = |k: usize| u32::from_le_bytes(std::array::from_fn(|i| self.head[10 + 4 * k + i]));
        Work { memory_kib: number(0), passes: number(1), lanes: number(2) }
    }
}

impl Content {
    fn read(text: &[u8]) -> Result<Self> {
        let bad = || damaged("structure");
        let (seed, rest) = text.split_first_chunk::<32>().ok_or_else(bad)?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        let count = u32::from_le_bytes(*count) as usize;
        if count > MOST_RENDERS || rest.len() != MOST_RENDERS * 64 {
            return Err(bad());
        }
        let mut renders = Vec::with_capacity(count + 1);
        for pair in rest.chunks_exact(64).take(count) {
            let (job, seed) = pair.split_first_chunk::<32>().ok_or_else(bad)?;
            let seed: &[u8; 32] = seed.first_chunk().ok_or_else(bad)?;
            renders.push((*job, Key::new(*seed)));
        }
        Ok(Content { seed: Key::new(*seed), renders })
    }

    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(CONTENT));
        text.extend_from_slice(&*self.seed);
        text.extend_from_slice(&(self.renders.len() as u32).to_le_bytes());
        for (job, seed) in &self.renders {
            text.extend_from_slice(job);
            text.extend_from_slice(&**seed);
        }
        text.resize(CONTENT, 0);
        text
    }
}

/// Everything that reads bytes of a vault, without the cost of a passphrase.
pub(crate) fn parse_for_fuzzing(bytes: &[u8]) {
    if let Ok(sealed) = Sealed::parse(bytes) {
        let key = SealingKey::new(Key::default());
        assert!(key.open(&sealed.nonce, &sealed.head, sealed.content).is_none(), "a forged vault was opened");
    }
    if let Ok(content) = Content::read(bytes) {
        assert!(content.bytes().len() == CONTENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.into()).unwrap()
    }

    struct Made {
        _dir: tempfile::TempDir,
        path: PathBuf,
        vault: Vault,
    }

    fn made() -> Made {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.vault");
        let vault = Vault::create(&path, &passphrase("long enough")).unwrap();
        Made { _dir: dir, path, vault }
    }

    /// Voice, noise and grain of the first attempt.
    fn first(seeds: &Seeds) -> (Key, Key, u64) {
        let s = seeds.attempt().unwrap();
        (s.voice(0), s.noise(0), s.grain())
    }

    #[test]
    fn a_vault_is_private_and_opens_with_its_passphrase_only() {
        let m = made();
        assert_eq!(std::fs::metadata(&m.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&m.path).unwrap().len(), WHOLE as u64);
        let back = Vault::open(&m.path, &passphrase("long enough")).unwrap();
        assert_eq!(back.seed, m.vault.seed);
        let e = Vault::open(&m.path, &passphrase("long enougH")).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("passphrase is wrong"), "{e}");
        assert_eq!(Vault::create(&m.path, &passphrase("long enough")).unwrap_err().exit_code(), 2);
        assert!(Vault::create(&m.path.with_extension("b"), &passphrase("short")).is_err());
        let bytes = std::fs::read(&m.path).unwrap();
        assert!(!bytes.windows(32).any(|w| w == m.vault.seed.as_slice()), "the seed lies open");
        assert!(!format!("{:?}", m.vault).contains("seed"));
    }

    #[test]
    fn altered_and_cut_vaults_are_refused() {
        let m = made();
        let bytes = std::fs::read(&m.path).unwrap();
        let bad = m.path.with_extension("bad");
        let opened = |b: &[u8]| {
            std::fs::write(&bad, b).unwrap();
            Vault::open(&bad, &passphrase("long enough")).map(|_| ()).unwrap_err()
        };
        // Every part of the file once; each try costs an Argon2.
        for at in [0, 9, 15, 20, 23, HEAD - 1, HEAD, HEAD + NONCE, HEAD + NONCE + 40, WHOLE - 1] {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            let e = opened(&other);
            assert!([2, 3].contains(&e.exit_code()) && !e.to_string().contains('\n'), "{at}: {e}");
        }
        for len in [0, 7, 8, 30, HEAD, HEAD + NONCE, WHOLE - 1] {
            let e = opened(&bytes[..len]);
            assert!([2, 3].contains(&e.exit_code()), "{len}: {e}");
        }
        assert!(opened(&[&bytes[..], b"x"].concat()).to_string().contains("too long"));
        let nobody = Vault::open(&m.path.with_extension("none"), &passphrase("long enough")).unwrap_err();
        assert!(nobody.exit_code() == 2 && nobody.to_string().contains("vault new"), "{nobody}");
    }

    #[test]
    fn voices_stay_noise_is_new_unless_a_job_was_stopped() {
        let m = made();
        let (job, other) = ([1; 32], [2; 32]);
        let a = first(&m.vault.begin_render(&job).unwrap());
        let again = Vault::open(&m.path, &passphrase("long enough")).unwrap();
        assert_eq!(first(&again.begin_render(&job).unwrap()), a, "a stopped job goes on as it began");
        assert_eq!(again.pending().unwrap(), PendingRenders(1));
        let b = first(&again.begin_render(&other).unwrap());
        again.end_render(&job).unwrap();
        let c = first(&again.begin_render(&job).unwrap());
        for (x, y) in [(&a, &b), (&a, &c), (&b, &c)] {
            assert_eq!(x.0, y.0, "one vault, one voice");
            assert!(x.1 != y.1 && x.2 != y.2, "two renders share noise");
        }
        assert!(first(&made().vault.begin_render(&job).unwrap()).0 != a.0);
    }

    #[test]
    fn only_the_oldest_pending_render_is_forgotten() {
        let m = made();
        let seeds: Vec<_> = (0..=MOST_RENDERS).map(|i| m.vault.begin_render(&[i as u8; 32]).unwrap()).collect();
        assert_eq!(m.vault.pending().unwrap(), PendingRenders(MOST_RENDERS));
        let last = MOST_RENDERS as u8;
        assert_eq!(first(&m.vault.begin_render(&[last; 32]).unwrap()), first(&seeds[MOST_RENDERS]));
        assert_ne!(first(&m.vault.begin_render(&[0; 32]).unwrap()), first(&seeds[0]));
    }

    #[test]
    fn a_sealed_vault_is_gone() {
        let m = made();
        Vault::destroy(&m.path).unwrap();
        assert!(!m.path.exists());
        assert_eq!(m.vault.begin_render(&[1; 32]).map(|_| ()).unwrap_err().exit_code(), 2);
        assert!(!m.path.exists(), "a sealed vault came back");
        std::fs::write(&m.path, b"a letter").unwrap();
        assert_eq!(Vault::destroy(&m.path).unwrap_err().exit_code(), 2);
        assert_eq!(std::fs::read(&m.path).unwrap(), b"a letter");
    }

    #[test]
    fn a_vault_behind_a_link_leaves_no_old_copy() {
        let m = made();
        let link = m.path.with_extension("link");
        std::os::unix::fs::symlink(&m.path, &link).unwrap();
        let opened = Vault::open(&link, &passphrase("long enough")).unwrap();
        opened.begin_render(&[1; 32]).unwrap();
        assert!(link.is_symlink(), "the link became a vault, and the old one stays behind it");
        assert_eq!(m.vault.pending().unwrap(), PendingRenders(1));
        Vault::destroy(&link).unwrap();
        assert!(!m.path.exists() && !link.is_symlink());
    }

    #[test]
    fn many_processes_lose_no_render() {
        let m = made();
        std::thread::scope(|scope| {
            for t in 0..4u8 {
                let vault = &m.vault;
                scope.spawn(move || (0..8u8).for_each(|i| drop(vault.begin_render(&[t * 8 + i; 32]).unwrap())));
            }
        });
        assert_eq!(m.vault.pending().unwrap(), PendingRenders(32));
    }
}
