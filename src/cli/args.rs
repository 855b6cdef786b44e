//! The command line as clap sees it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes: 0 cleared · 2 usage · 3 input · 4 plan or cast · 5 model or device · 6 output or disk · 130 interrupted

Verification failed, nothing under the final name: 71 a face (or region) is still the original's · 72 somebody is \
recognised, or doubles are alike · 73 a recorded voice is still there · 74 a stream, tag, text or part of the file that must \
not be there · 75 frames, times, size, sound or disclaimer are not kept, or the file is damaged · 7 several of these";

/// Disguises people in film so that they can speak without being hunted.
///
/// Faces are replaced by invented doubles, voices are resynthesised, metadata is left behind; the finished file is
/// attacked before it gets its name. Everybody is disguised unless a cast file says otherwise. It works offline.
#[derive(Debug, Parser)]
#[command(name = "understudy", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Disguise a film: analyse, render, verify, publish
    ///
    /// With nothing but IN and -o OUT everybody is protected: each face gets a double of its own, every voice is
    /// resynthesised, no tag of the source survives. The film appears under its name only if the attack on it fails.
    #[command(after_help = EXIT_CODES)]
    Disguise(Disguise),
    /// Find faces, people and shots, and write them to a plan
    ///
    /// The plan holds biometrics of the people filmed: seal it with --vault, or keep it as safe as the source and
    /// `understudy shred` it after.
    Analyse(Analyse),
    /// Make the film that a plan and a cast describe, and verify it
    #[command(after_help = EXIT_CODES)]
    Render(Render),
    /// Attack OUTPUT as an enemy who has ORIGINAL would
    #[command(after_help = EXIT_CODES)]
    Verify(Verify),
    /// List, show, enrol or check doubles
    #[command(subcommand)]
    Double(Double),
    /// List, verify or add networks
    #[command(subcommand)]
    Models(Models),
    /// Disguise every film of a folder; can be stopped and continued
    #[command(after_help = EXIT_CODES)]
    Archive(Archive),
    /// Measure the stages on a clip, per device
    Bench(Bench),
    /// Check this machine: FFmpeg, ONNX Runtime, networks, encoders, limits
    Doctor(Doctor),
    /// Overwrite and remove plans, checkpoints, vaults and reports
    Shred(Shred),
    /// Write subtitles afresh, with the cast's aliases in place of names
    ///
    /// Reads SRT, WebVTT or ASS; writes times and plain text only, as .srt or .vtt. Words of the cast's [words] get their
    /// aliases; words that are only like them are covered by … and told. Subtitles inside films are always dropped.
    Subtitles(Subtitles),
    /// Propose who speaks when, from lips and sound, for a person to confirm
    ///
    /// Compares the moving lips of a plan with the loudness of the film and prints entries for a cast: `times` per person,
    /// each with a confidence. They are proposals: watch every range before you use it. Nothing follows from them by
    /// itself, and whatever nobody is named for stays disguised.
    Voices(Voices),
    /// Make, check or destroy a vault, which keeps the voices of a project under a passphrase
    #[command(subcommand)]
    Vault(Vault),
}

/// `subtitles`
#[derive(Debug, Args)]
pub struct Subtitles {
    /// Subtitle file: .srt, .vtt or .ass
    pub input: PathBuf,
    /// File to write: .srt or .vtt
    #[arg(short, long)]
    pub output: PathBuf,
    /// Cast file with a [words] list
    #[arg(long)]
    pub cast: PathBuf,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
    /// Machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `voices`
#[derive(Debug, Args)]
pub struct Voices {
    /// The analysed film
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Its plan
    #[arg(long, value_name = "PLAN")]
    pub plan: PathBuf,
    /// File for the proposals (TOML); default: standard output
    #[arg(short, long, value_name = "CAST")]
    pub output: Option<PathBuf>,
    /// Sound stream to listen to, from 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub stream: u16,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
    /// Machine
    #[command(flatten)]
    pub machine: Machine,
}

/// How carefully faces are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecallArg {
    /// Every third frame: for a first look, not for release
    Draft,
    /// Every frame, several sizes
    Standard,
    /// All detectors, tiles and rotations: slow
    Max,
}

/// What the output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetArg {
    /// H.264 and AAC in mp4, plays everywhere
    Web,
    /// The source's own codec family, depth and colour
    Match,
    /// ProRes 422 HQ and PCM in mov
    Master,
    /// FFV1 and PCM in mkv, pixels outside the mattes bit-identical
    Lossless,
}

/// Where the networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// On the processor
    Cpu,
    /// On an NVIDIA GPU; an error if it is not there
    Cuda,
}

/// Options about networks and the machine.
#[derive(Debug, Clone, Args)]
pub struct Machine {
    /// Folder with network packs (may be given several times; also UNDERSTUDY_MODELS)
    #[arg(long, value_name = "DIR")]
    pub models: Vec<PathBuf>,
    /// Where the networks run
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Threads for decoding, treating and encoding (default: all cores)
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Print one JSON event per line instead of progress
    #[arg(long)]
    pub json: bool,
    /// Decode without the sandbox (Landlock and seccomp); told by the report
    #[arg(long)]
    pub no_sandbox: bool,
}

/// Options about what is kept between runs.
#[derive(Debug, Clone, Default, Args)]
pub struct WithVault {
    /// Vault of the project: same voices in every render, runs that were stopped go on, plans are sealed
    ///
    /// `understudy vault new` makes one. A plan that is written with it is encrypted and opens with it alone. Without a vault
    /// nothing is kept: each render draws other voices.
    #[arg(long, value_name = "VAULT")]
    pub vault: Option<PathBuf>,
    /// File with the passphrase of the vault (default: the variable UNDERSTUDY_PASSPHRASE)
    #[arg(long, value_name = "FILE", requires = "vault")]
    pub passphrase_file: Option<PathBuf>,
}

/// How a sealed plan is opened.
#[derive(Debug, Clone, Default, Args)]
pub struct Opens {
    /// Secret key of a plan that was written with --encrypt-to
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
}

/// Options about what is written.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// The film to write; its ending chooses the container
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Who becomes whom (TOML); everybody not listed is disguised
    ///
    /// Voices: `pseudo` (the default), `whisper`, `replace`, `silence`, `keep`, and `pitch`, which is NO PROTECTION: anybody
    /// can shift it back and recognise the voice. A kept channel is disguised wherever a protected one has sound, unless
    /// its entry says bleed = "accept". In [policy], `disclaimer = true` (or a sentence) tells
    /// the audience over the first seconds, and `subtitles = true` passes the film's text streams through [words].
    #[arg(long, value_name = "CAST")]
    pub cast: Option<PathBuf>,
    /// What the output is for
    #[arg(long, value_enum, default_value_t = PresetArg::Match)]
    pub preset: PresetArg,
    /// Folder for report.html and report.json (default: OUT with .report appended)
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Leave pictures of the originals out of the report, so that it can be shared
    #[arg(long)]
    pub redacted: bool,
    /// Folder with further doubles (may be given several times)
    #[arg(long, value_name = "DIR")]
    pub doubles: Vec<PathBuf>,
    /// Write the mattes as a grey lossless film for a compositor
    #[arg(long, value_name = "FILE")]
    pub matte: Option<PathBuf>,
    /// Replace OUT if it exists
    #[arg(long)]
    pub force: bool,
    /// Constant rate factor for H.264 and H.265 (lower is better; default 18, web 20)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=51))]
    pub crf: Option<u8>,
    /// Speed preset for H.264 and H.265
    #[arg(long, value_name = "NAME")]
    pub speed: Option<String>,
    /// Seed of the film grain, for tests that compare renders; never of a voice
    #[arg(long, value_name = "N", hide = true)]
    pub seed: Option<u64>,
}

impl Output {
    /// Output options of a command that writes a plan only.
    #[must_use]
    pub fn for_plan(path: &std::path::Path) -> Self {
        Output {
            output: path.to_owned(),
            cast: None,
            preset: PresetArg::Match,
            report: None,
            redacted: false,
            doubles: vec![],
            matte: None,
            force: false,
            crf: None,
            speed: None,
            seed: None,
        }
    }
}

/// `disguise`
#[derive(Debug, Args)]
pub struct Disguise {
    /// The film to disguise
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// What is written
    #[command(flatten)]
    pub output: Output,
    /// How carefully faces are looked for
    #[arg(long, value_enum, default_value_t = RecallArg::Standard)]
    pub recall: RecallArg,
    /// Process what decodes of a damaged or cut-off file
    #[arg(long)]
    pub salvage: bool,
    /// Also keep the plan, to edit the cast by (holds biometrics)
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Seal the plan to this public key (may be given several times): this machine cannot open it afterwards
    ///
    /// `understudy vault key FILE` makes a pair of keys; `render --identity FILE` opens the plan.
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "vault", requires = "plan")]
    pub encrypt_to: Vec<String>,
    /// What is kept between runs
    #[command(flatten)]
    pub kept: WithVault,
    /// Networks and machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `analyse`
#[derive(Debug, Args)]
pub struct Analyse {
    /// The film to look at
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The plan to write
    #[arg(short, long, value_name = "PLAN")]
    pub output: PathBuf,
    /// How carefully faces are looked for
    #[arg(long, value_enum, default_value_t = RecallArg::Standard)]
    pub recall: RecallArg,
    /// Process what decodes of a damaged or cut-off file
    #[arg(long)]
    pub salvage: bool,
    /// Replace PLAN if it exists
    #[arg(long)]
    pub force: bool,
    /// Seal the plan to this public key (may be given several times): this machine cannot open it afterwards
    ///
    /// `understudy vault key FILE` makes a pair of keys; `render --identity FILE` opens the plan.
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "vault")]
    pub encrypt_to: Vec<String>,
    /// What is kept between runs
    #[command(flatten)]
    pub kept: WithVault,
    /// Networks and machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `render`
#[derive(Debug, Args)]
pub struct Render {
    /// The plan
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The analysed film, if it has moved since
    #[arg(long, value_name = "IN")]
    pub input: Option<PathBuf>,
    /// What is written
    #[command(flatten)]
    pub output: Output,
    /// What is kept between runs
    #[command(flatten)]
    pub kept: WithVault,
    /// Who opens the plan
    #[command(flatten)]
    pub opens: Opens,
    /// Networks and machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// The undisguised film
    #[arg(value_name = "ORIGINAL")]
    pub original: PathBuf,
    /// The film to attack
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
    /// The plan, so that people have numbers and every planned face is looked at
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// The cast, so that those who stay visible are known
    #[arg(long, value_name = "CAST", requires = "plan")]
    pub cast: Option<PathBuf>,
    /// Folder with further doubles that the cast names (may be given several times)
    #[arg(long, value_name = "DIR")]
    pub doubles: Vec<PathBuf>,
    /// Folder for report.html and report.json
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Leave pictures of the originals out of the report
    #[arg(long)]
    pub redacted: bool,
    /// How carefully faces are looked for
    #[arg(long, value_enum, default_value_t = RecallArg::Standard)]
    pub recall: RecallArg,
    /// The vault of a sealed plan
    #[command(flatten)]
    pub kept: WithVault,
    /// Who opens the plan
    #[command(flatten)]
    pub opens: Opens,
    /// Networks and machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `double …`
#[derive(Debug, Subcommand)]
pub enum Double {
    /// List the doubles that can be cast
    List {
        /// Folder with further doubles
        #[arg(long, value_name = "DIR")]
        doubles: Vec<PathBuf>,
    },
    /// Write a contact sheet of one double
    Show {
        /// Its name
        name: String,
        /// The picture to write (PNG)
        #[arg(short, long, value_name = "PNG")]
        output: PathBuf,
        /// Folder with further doubles
        #[arg(long, value_name = "DIR")]
        doubles: Vec<PathBuf>,
    },
    /// Enrol a volunteer from photographs
    ///
    /// Needs at least: a neutral face, a smile, an open mouth and closed eyes, each facing the camera, evenly lit,
    /// brows visible. Says what is missing.
    New {
        /// Name of the double to make
        name: String,
        /// TOML with `signatory`, `date` and `text` of the volunteer's consent
        #[arg(long, value_name = "FILE")]
        consent: PathBuf,
        /// Folder that will hold the double
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Photographs of the volunteer
        #[arg(required = true, value_name = "PHOTO")]
        photos: Vec<PathBuf>,
        /// Networks and machine
        #[command(flatten)]
        machine: Machine,
    },
    /// Score doubles against the people of a plan: likeness, skin, pose
    Check {
        /// The plan
        plan: PathBuf,
        /// Only this double
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Folder with further doubles
        #[arg(long, value_name = "DIR")]
        doubles: Vec<PathBuf>,
        /// The vault of a sealed plan
        #[command(flatten)]
        kept: WithVault,
        /// Who opens the plan
        #[command(flatten)]
        opens: Opens,
        /// Networks and machine
        #[command(flatten)]
        machine: Machine,
    },
}

/// `models …`
#[derive(Debug, Subcommand)]
pub enum Models {
    /// List known networks and where they were found
    List {
        /// Networks and machine
        #[command(flatten)]
        machine: Machine,
    },
    /// Check every installed network against its SHA-256 and load it
    Verify {
        /// Networks and machine
        #[command(flatten)]
        machine: Machine,
    },
    /// Install networks from a file or a folder
    Add {
        /// File or folder
        pack: PathBuf,
    },
}

/// `vault …`
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Make a vault
    New {
        /// The file to make
        #[arg(value_name = "VAULT")]
        vault: PathBuf,
        /// File with its passphrase (default: the variable UNDERSTUDY_PASSPHRASE)
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Open a vault and tell whether that works
    Check {
        /// The vault
        #[arg(value_name = "VAULT")]
        vault: PathBuf,
        /// File with its passphrase (default: the variable UNDERSTUDY_PASSPHRASE)
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Make a pair of keys: plans can be sealed to the public one, and only the secret one opens them
    Key {
        /// The file to make, for the secret key; the public key is printed
        #[arg(value_name = "FILE")]
        identity: PathBuf,
    },
    /// Print the public key that belongs to a secret one
    Recipient {
        /// The secret key
        #[arg(value_name = "FILE")]
        identity: PathBuf,
    },
    /// Overwrite and remove vaults: the voices of the project can never be made again
    Seal {
        /// The vaults
        #[arg(required = true, value_name = "VAULT")]
        vaults: Vec<PathBuf>,
    },
}

/// `archive`
#[derive(Debug, Args)]
pub struct Archive {
    /// Folder with films
    #[arg(value_name = "DIR")]
    pub input: PathBuf,
    /// Folder for the disguised films, their reports and the state file
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Films at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Who becomes whom, for all films (the voice style `pitch` is NO PROTECTION)
    #[arg(long, value_name = "CAST")]
    pub cast: Option<PathBuf>,
    /// What the outputs are for
    #[arg(long, value_enum, default_value_t = PresetArg::Match)]
    pub preset: PresetArg,
    /// How carefully faces are looked for
    #[arg(long, value_enum, default_value_t = RecallArg::Standard)]
    pub recall: RecallArg,
    /// Try films again that failed before
    #[arg(long)]
    pub retry: bool,
    /// What is kept between runs
    #[command(flatten)]
    pub kept: WithVault,
    /// Networks and machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `bench`
#[derive(Debug, Args)]
pub struct Bench {
    /// A clip; default: the built-in sample pattern
    #[arg(value_name = "CLIP")]
    pub clip: Option<PathBuf>,
    /// Frames to measure
    #[arg(long, default_value_t = 150)]
    pub frames: u64,
    /// Networks and machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Networks and machine
    #[command(flatten)]
    pub machine: Machine,
}

/// `shred`
#[derive(Debug, Args)]
pub struct Shred {
    /// Plans, checkpoints (`.OUT.checkpoint`), vaults, reports and their folders (`OUT.report`) to remove
    #[arg(required = true, value_name = "FILE")]
    pub plans: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wherever_a_cast_is_given_help_says_that_pitch_is_no_protection() {
        for name in ["disguise", "render", "archive"] {
            let mut cli = Cli::command();
            let help = cli.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("`pitch`") && words.contains("NO PROTECTION"), "{help}");
        }
    }
}
