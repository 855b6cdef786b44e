//! Strangers among whom a disguised person is sought: an attacker with a list of suspects asks whose face comes first.

use crate::infer::InstalledModel;
use crate::vision::Embedding;

/// The sets that come with the program, one per network: see `models/strangers/README.md`.
const SETS: [&[u8]; 2] = [
    include_bytes!("../../models/strangers/foamliu_mobilefacenet_w16.bin"),
    include_bytes!("../../models/strangers/understudy_embedding.bin"),
];
/// Hashes of a network with 32-bit weights and of the same with 16-bit ones: their vectors differ by less than 8 bits hold.
const SAME: [(&str, &str); 1] = [(
    "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
    "73f90ee2d1e8a070cf11bfb9ac8d2ed6f091b9b3730f806261ee1faf5e6cb594",
)];
const MAGIC: &[u8; 8] = b"STRANGE1";
/// Magic, hash of the network, number of vectors, values of each.
const HEADER: usize = 8 + 32 + 4 + 4;

/// Faces of people who are in no film, seen by one network.
pub(crate) struct Strangers {
    faces: Vec<Embedding>,
    /// Hash of the network, without regard to the precision of its weights.
    network: String,
}

impl Strangers {
    /// Those whom this network has seen; `None` if nobody was shown to it.
    pub(crate) fn of(network: &InstalledModel) -> Option<Self> {
        let sha256 = network.entry.sha256.as_str();
        let sha256 = SAME.iter().find(|s| s.0 == sha256).map_or(sha256, |s| s.1);
        SETS.iter().find_map(|set| Self::read(set, sha256))
    }

    /// A set of 8-bit vectors, if it was made with the network of this hash.
    fn read(set: &[u8], sha256: &str) -> Option<Self> {
        let (header, values) = set.split_at_checked(HEADER)?;
        let number = |at: usize| -> Option<usize> {
            let bytes = header.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(bytes)).ok()
        };
        let (count, size) = (number(40)?, number(44)?);
        let fits = header.starts_with(MAGIC) && size > 0 && count.checked_mul(size) == Some(values.len());
        if !fits || crate::plan::hex(header.get(8..40)?) != sha256 {
            return None;
        }
        let vector = |cells: &[u8]| Embedding::new(cells.iter().map(|c| f32::from(c.cast_signed())).collect()).ok();
        let faces = values.chunks_exact(size).map(vector).collect::<Option<_>>()?;
        Some(Strangers { faces, network: sha256.to_owned() })
    }

    /// Strangers with these faces.
    #[cfg(test)]
    pub(crate) fn with(faces: Vec<Embedding>) -> Self {
        Strangers { faces, network: String::new() }
    }

    /// Whether another network of the same weights saw them.
    pub(crate) fn are(&self, others: &Self) -> bool {
        self.network == others.network
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.faces.len()
    }

    /// The place of a person, from 1, in the order of likeness to a face: 1 if nobody is nearer to it.
    pub(crate) fn rank(&self, face: &Embedding, person: &Embedding) -> u64 {
        let own = face.cosine(person);
        1 + self.faces.iter().filter(|s| s.cosine(face) > own).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::{ModelSet, Role};

    #[test]
    fn the_built_in_network_has_its_strangers() {
        let models = ModelSet::discover(&[]).unwrap();
        let network = models.best(Role::Embedding).unwrap();
        let all = Strangers::of(network).expect("made anew by examples/strangers when the network is");
        assert!(all.len() >= 500, "{}", all.len());
        // People are told apart, and somebody is always nearest to himself.
        let (a, b) = (&all.faces[0], &all.faces[1]);
        assert!(a.cosine(b) < 0.95);
        assert_eq!(all.rank(a, a), 1);
        let far = (1..all.len()).map(|i| all.rank(a, &all.faces[i])).max().unwrap();
        assert_eq!(far, all.len() as u64, "one of them is the last");
    }

    #[test]
    fn foreign_and_damaged_sets_are_nobody() {
        let sha = "ab".repeat(32);
        let mut set = MAGIC.to_vec();
        set.extend([0xab; 32]);
        set.extend(2u32.to_le_bytes());
        set.extend(3u32.to_le_bytes());
        set.extend([100, 0, 0, 0, 156, 0]);
        let all = Strangers::read(&set, &sha).unwrap();
        assert_eq!(all.len(), 2);
        let e = |v: [f32; 3]| Embedding::new(v.to_vec()).unwrap();
        assert_eq!(all.rank(&e([1.0, 0.1, 0.0]), &e([0.0, 1.0, 0.0])), 2, "the first stranger is nearer");
        assert_eq!(all.rank(&e([0.1, 1.0, 0.0]), &e([0.0, 1.0, 0.0])), 1);
        assert!(Strangers::read(&set, &"cd".repeat(32)).is_none(), "another network");
        assert!(Strangers::read(&set[..set.len() - 1], &sha).is_none() && Strangers::read(&set[..20], &sha).is_none());
        set[40] = 0xff;
        assert!(Strangers::read(&set, &sha).is_none());
    }
}
