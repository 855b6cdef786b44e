//! Words that must not appear, and what stands in their place.

use super::Cue;
use super::read::is_unseen;
use crate::{Error, Result};

/// Most words of a list, and letters of a word.
const MOST_WORDS: usize = 5000;
const MOST_LETTERS: usize = 100;
/// What covers a word that is only like a listed one.
const COVER: &str = "…";

/// Small words within names, which are not covered where they stand alone.
const PARTICLES: [&str; 28] = [
    "af", "al", "ap", "av", "bin", "bint", "da", "das", "de", "del", "den", "der", "des", "di", "do", "dos", "du",
    "el", "ibn", "la", "las", "le", "los", "of", "van", "von", "zu", "the",
];

/// A list of words with their aliases.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    /// Folded tokens of each entry, and the alias; longer entries first.
    entries: Vec<(Vec<String>, String)>,
    /// Entries of three letters and more without their spaces, and the length of the longest in letters.
    spelt: (Vec<String>, usize),
}

/// A cue in which a word is like a listed one; the word was covered. Holds no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// Number of the cue, from 1.
    pub cue: usize,
    /// When it appears, milliseconds.
    pub at_ms: u64,
}

/// A run of letters and digits of a text: where it lies, and how it is compared.
struct Token {
    from: usize,
    to: usize,
    folded: String,
    /// Begins with a capital letter.
    capital: bool,
}

impl Aliases {
    /// Takes pairs of a word (or several, a name in full) and its alias. An empty alias removes the word.
    ///
    /// # Errors
    /// `Plan` if a word has no letters, is too long, there are too many, or an alias holds a listed word.
    pub fn new<'w>(words: impl IntoIterator<Item = (&'w str, &'w str)>) -> Result<Self> {
        let mut entries = Vec::new();
        for (word, alias) in words {
            let tokens: Vec<String> = tokens(word).into_iter().map(|t| t.folded).collect();
            if tokens.is_empty() || word.chars().count() > MOST_LETTERS || alias.chars().count() > MOST_LETTERS {
                let message =
                    format!("entry {} of `words` has no letters or more than {MOST_LETTERS}", entries.len() + 1);
                return Err(Error::Plan(message));
            }
            let odd = |c: char| c.is_control() || "<>{}&\\".contains(c);
            if alias.contains(odd) {
                return Err(Error::Plan(format!(
                    "the alias of entry {} of `words` holds a bracket, & or \\",
                    entries.len() + 1
                )));
            }
            entries.push((tokens, alias.to_owned()));
        }
        if entries.len() > MOST_WORDS {
            return Err(Error::Plan(format!("`words` has more than {MOST_WORDS} entries")));
        }
        entries.sort_by(|a, b| (b.0.len(), &a.0).cmp(&(a.0.len(), &b.0)));
        let spelt: Vec<String> = entries.iter().map(|e| e.0.concat()).filter(|w| w.chars().count() >= 3).collect();
        let longest = spelt.iter().map(|w| w.chars().count()).max().unwrap_or(0);
        let list = Aliases { entries, spelt: (spelt, longest) };
        if list.entries.iter().any(|(_, alias)| list.betrayed(alias)) {
            return Err(Error::Plan("an alias in `words` holds a word that the list removes".into()));
        }
        Ok(list)
    }

    /// Puts aliases in place of listed words, however written, and covers words that are only like them.
    #[must_use]
    pub fn apply(&self, cues: &[Cue]) -> (Vec<Cue>, Vec<Doubt>) {
        let (mut out, mut doubts) = (Vec::new(), Vec::new());
        for (i, cue) in cues.iter().enumerate() {
            // A name may run over the end of a line.
            let joined = cue.lines.join("\n");
            let (text, doubtful) = self.replaced(&joined);
            if doubtful {
                doubts.push(Doubt { cue: i + 1, at_ms: cue.start_ms });
            }
            let lines: Vec<String> = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            let lines: Vec<String> = lines.into_iter().filter(|l| !l.is_empty()).collect();
            if !lines.is_empty() {
                out.push(Cue { lines, ..cue.clone() });
            }
        }
        (out, doubts)
    }

    /// Whether a text holds a listed word.
    #[must_use]
    pub fn betrayed(&self, text: &str) -> bool {
        let tokens = tokens(text);
        let spaced = (0..tokens.len()).any(|i| self.entry_at(&tokens[i..]).is_some());
        let whole = |part: &str| self.entries.iter().any(|(words, _)| words[..] == [part]);
        let elided = tokens.iter().any(|t| t.folded.contains('\'') && t.folded.split('\'').any(whole));
        // Letter by letter: A-n-n-a.
        spaced || elided || self.spelt(&tokens).next().is_some()
    }

    /// What is put in place of words.
    pub(super) fn aliases(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| e.1.as_str())
    }

    fn entry_at(&self, tokens: &[Token]) -> Option<&(Vec<String>, String)> {
        let same = |e: &&(Vec<String>, String)| {
            e.0.len() <= tokens.len() && e.0.iter().zip(tokens).all(|(word, t)| is_form(&t.folded, word))
        };
        self.entries.iter().find(same)
    }

    /// Runs of tokens of one letter that spell a listed word of at least three letters: first and last token.
    fn spelt<'t>(&'t self, tokens: &'t [Token]) -> impl Iterator<Item = (usize, usize)> + 't {
        let single = |t: &&Token| t.folded.chars().count() == 1 && !t.folded.starts_with(is_unspaced);
        let (words, longest) = &self.spelt;
        (0..tokens.len()).filter_map(move |i| {
            let run: Vec<&str> =
                tokens[i..].iter().take(*longest).take_while(single).map(|t| t.folded.as_str()).collect();
            let letters = if run.len() < 3 { return None } else { run.concat() };
            let found = words.iter().filter(|w| letters.starts_with(w.as_str())).max_by_key(|w| w.len())?;
            Some((i, i + found.chars().count() - 1))
        })
    }

    fn replaced(&self, text: &str) -> (String, bool) {
        let tokens = tokens(text);
        let spelt: Vec<(usize, usize)> = self.spelt(&tokens).collect();
        let (mut out, mut from, mut i, mut doubtful) = (String::new(), 0, 0, false);
        while i < tokens.len() {
            let (last, alias) = if let Some((words, alias)) = self.entry_at(&tokens[i..]) {
                (i + words.len() - 1, alias.as_str())
            } else if let Some((_, last)) = spelt.iter().find(|s| s.0 == i) {
                doubtful = true;
                (*last, COVER)
            } else if self.is_near(&tokens[i]) {
                doubtful = true;
                (i, COVER)
            } else {
                i += 1;
                continue;
            };
            out.push_str(&text[from..tokens[i].from]);
            out.push_str(alias);
            from = tokens[last].to;
            i = last + 1;
        }
        out.push_str(&text[from..]);
        (out, doubtful)
    }

    /// Whether a token, or a part of it between apostrophes (d'Anna, Anna'nın), is like a listed word or a part of one.
    fn is_near(&self, token: &Token) -> bool {
        let parts = || token.folded.split('\'').filter(|p| !p.is_empty());
        let elided = parts().nth(1).is_some();
        self.entries.iter().any(|(words, _)| {
            words.iter().any(|listed| {
                if words.len() > 1 && PARTICLES.contains(&listed.as_str()) {
                    return false;
                }
                let same = |part: &str| part == listed && (words.len() == 1 || listed.chars().count() > 2);
                near(&token.folded, listed, token.capital)
                    || elided && parts().any(|p| same(p) || near(p, listed, token.capital))
            })
        })
    }
}

/// Whether a word is like a listed one.
///
/// - Four letters and more: one letter in four differs, or it begins or ends with all of the listed one.
/// - Three letters: only words with a capital, that begin with it or differ in one letter behind the first (cases of
///   inflected languages); two: only the same, with a capital (a part of a name in full).
/// - Scripts without capitals that join small words to names (Arabic and Hebrew from three letters, Hangul from two
///   syllables): the listed word with up to four letters around it.
fn near(word: &str, listed: &str, capital: bool) -> bool {
    let (length, n) = (word.chars().count(), listed.chars().count());
    if length >= n && length <= n + 4 && n >= least_joined(listed) && word.contains(listed) {
        return true;
    }
    match n {
        0 | 1 => false,
        2 => capital && word == listed,
        3 => {
            let first = |w: &str| w.chars().next();
            let inflected = n.abs_diff(length) <= 1 && first(word) == first(listed) && distance(word, listed) <= 1;
            capital && (word.starts_with(listed) || inflected)
        }
        _ if length < 3 => false,
        _ => {
            let inside = length > n && (word.starts_with(listed) || word.ends_with(listed));
            inside || (n.abs_diff(length) <= n / 4 && distance(word, listed) <= n / 4)
        }
    }
}

/// Letters from which on a name of this script is found inside a word.
fn least_joined(word: &str) -> usize {
    match word.chars().next().map_or(0, |c| c as u32) {
        0x590..=0x8ff | 0xfb1d..=0xfdff | 0xfe70..=0xfefc => 3,
        0xac00..=0xd7a3 => 2,
        _ => usize::MAX,
    }
}

/// Whether a token is a word or its genitive.
fn is_form(token: &str, word: &str) -> bool {
    token == word || token.strip_prefix(word).is_some_and(|end| end == "s" || end == "'s")
}

/// Scripts that put no spaces between words: every character is a token, so that a name is found wherever it stands.
fn is_unspaced(c: char) -> bool {
    matches!(c as u32, 0xe00..=0x109f | 0x1780..=0x17ff | 0x3005..=0x3007 | 0x3040..=0x312f | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0xff66..=0xff9f | 0x20000..=0x3ffff)
}

/// Accents and signs of vowels that are written or left out at will: combining accents, Arabic and Hebrew points and the
/// stretching line, signs of Indian scripts that are no letters, Japanese voicing.
fn is_mark(c: char) -> bool {
    match c as u32 {
        0x300..=0x36f | 0x591..=0x5bd | 0x5bf | 0x5c1 | 0x5c2 | 0x5c4 | 0x5c5 | 0x5c7 => true,
        0x610..=0x61a | 0x640 | 0x64b..=0x65f | 0x670 | 0x6d6..=0x6ed | 0x3099 | 0x309a => true,
        0x964 | 0x965 | 0x970 => false,
        0x900..=0xdff => !c.is_alphanumeric(),
        _ => false,
    }
}

/// Letters, digits and apostrophes within; compared in lower case and without the usual accents.
fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        if is_unseen(c) || is_mark(c) {
            // What is not seen, and accents that are letters of their own, join the word before.
            if let Some(token) = out.last_mut().filter(|t| t.to == at) {
                token.to = at + c.len_utf8();
            }
            continue;
        }
        let inner = matches!(c, '\'' | '’') && open && text[at + c.len_utf8()..].starts_with(char::is_alphabetic);
        if !(c.is_alphanumeric() || inner) {
            open = false;
            continue;
        }
        let alone = is_unspaced(c);
        if !open || alone {
            out.push(Token { from: at, to: at, folded: String::new(), capital: c.is_uppercase() });
        }
        open = !alone;
        if let Some(token) = out.last_mut() {
            token.to = at + c.len_utf8();
            if inner {
                token.folded.push('\'');
            } else {
                c.to_lowercase().for_each(|l| fold(l, &mut token.folded));
            }
        }
    }
    out.retain(|t| !t.folded.is_empty());
    out
}

/// A lower-case letter without accent; Greek and Cyrillic letters that look like Latin ones become those, ways to write
/// one Arabic letter and the two kinds of Japanese syllables become one.
fn fold(c: char, out: &mut String) {
    let plain = match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | '\u{1ea0}'..='\u{1eb7}' | 'а' | 'α' | 'ά' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' | 'с' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | '\u{1eb8}'..='\u{1ec7}' | 'е' | 'ё' | 'ε' | 'έ' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | '\u{1ec8}'..='\u{1ecb}' | 'і' | 'ї' | 'ι' | 'ί' | 'ϊ' | 'ΐ' => {
            'i'
        }
        'ĺ' | 'ļ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | '\u{1ecc}'..='\u{1ee3}' | 'о' | 'ο' | 'ό' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' | 'ѕ' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | '\u{1ee4}'..='\u{1ef1}' => 'u',
        'ý' | 'ÿ' | 'у' | 'ў' | '\u{1ef2}'..='\u{1ef9}' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'х' => 'x',
        'р' | 'ρ' => 'p',
        'к' | 'ќ' => 'k',
        'т' => 't',
        'м' => 'm',
        'й' => 'и',
        'ѓ' => 'г',
        'ή' => 'η',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' | 'ی' | 'ئ' | 'ے' => 'ي',
        'ک' => 'ك',
        'ة' | 'ۀ' | 'ہ' | 'ە' | 'ۃ' => 'ه',
        'ؤ' => 'و',
        'ß' => return out.push_str("ss"),
        'æ' => return out.push_str("ae"),
        'œ' => return out.push_str("oe"),
        '\u{2b9}' | '\u{2bb}' | '\u{2bc}' => '\'',
        // Indian letters with a dot, which may be left out.
        '\u{958}' => '\u{915}',
        '\u{959}' => '\u{916}',
        '\u{95a}' => '\u{917}',
        '\u{95b}' => '\u{91c}',
        '\u{95c}' => '\u{921}',
        '\u{95d}' => '\u{922}',
        '\u{95e}' => '\u{92b}',
        '\u{95f}' => '\u{92f}',
        // The dot of İ, which is a letter of its own in lower case.
        '\u{300}'..='\u{36f}' => return,
        '０'..='９' => shifted(c, 0xff10, '0'),
        'ａ'..='ｚ' => shifted(c, 0xff41, 'a'),
        '\u{3041}'..='\u{3096}' => unvoiced(c),
        '\u{30a1}'..='\u{30f6}' => unvoiced(shifted(c, 0x30a1, '\u{3041}')),
        other => other,
    };
    out.push(plain);
}

/// The character as far from `to` as `c` is from `from`.
fn shifted(c: char, from: u32, to: char) -> char {
    char::from_u32((c as u32).saturating_sub(from) + to as u32).unwrap_or(c)
}

/// A hiragana without the marks of voicing, which may be written apart (Unicode 15.0, code chart U+3040).
fn unvoiced(c: char) -> char {
    let n = c as u32;
    let plain = match n {
        0x304b..=0x3062 => n - (n - 0x304b) % 2,
        0x3064..=0x3069 => n - (n - 0x3064) % 2,
        0x306f..=0x307d => n - (n - 0x306f) % 3,
        0x3094 => 0x3046,
        _ => n,
    };
    char::from_u32(plain).unwrap_or(c)
}

/// Letters to insert, remove or change, at least (V. Levenshtein, *Soviet Physics Doklady* 10, 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(words: &[(&str, &str)], text: &str) -> (String, usize) {
        let cue = Cue { start_ms: 0, end_ms: 1, lines: text.split('|').map(str::to_owned).collect() };
        let aliases = Aliases::new(words.iter().copied()).unwrap();
        let (cues, doubts) = aliases.apply(&[cue]);
        let text = cues.iter().map(|c| c.lines.join("|")).collect::<String>();
        assert!(!aliases.betrayed(&text.replace('|', " ")), "{text}");
        (text, doubts.len())
    }

    const LIST: [(&str, &str); 3] = [("Anna", "Witness 1"), ("Anna Maria Kovač", "Witness 1"), ("Lyon", "")];

    #[test]
    fn listed_words_go_however_they_are_written() {
        for (text, wanted) in [
            ("ANNA, Ánna and anna's dog", "Witness 1, Witness 1 and Witness 1 dog"),
            ("I am Anna  Maria|KOVAC.", "I am Witness 1."),
            ("From Lyon to Paris", "From to Paris"),
            ("А\u{301}nnа is there", "Witness 1 is there"),
        ] {
            assert_eq!(applied(&LIST, text), (wanted.to_owned(), 0), "{text}");
        }
    }

    #[test]
    fn words_like_listed_ones_are_covered_and_told() {
        for text in ["Anja", "Annas' and Annabel", "Hanna", "A-n-n-a", "Lyons-based Lyonnais"] {
            let (made, doubts) = applied(&LIST, text);
            assert!(doubts == 1 && made.contains(COVER), "{text}: {made}");
        }
        assert_eq!(applied(&LIST, "An apple and a lion cub").1, 1, "lion is near Lyon");
        assert_eq!(applied(&LIST, "Nothing of this is near"), ("Nothing of this is near".into(), 0));
    }

    #[test]
    fn names_are_found_in_scripts_without_spaces() {
        for (word, text, wanted) in [
            ("王小明", "我是王小明。王 小明说", "我是W。W说"),
            ("さくら", "昨日サクラさんが", "昨日Wさんが"),
            ("ギンジ", "キ\u{3099}ンシ\u{3099}です", "Wです"),
            ("สมชาย", "ผมชื่อสมชายครับ", "ผมชื่อWครับ"),
        ] {
            assert_eq!(applied(&[(word, "W")], text), (wanted.to_owned(), 0), "{text}");
        }
    }

    #[test]
    fn names_are_found_however_accents_and_case_are_written() {
        for (word, text) in [
            ("Γιώργος", "ΓΙΩΡΓΟΣ"),
            ("Сергей", "СЕРГЕИ\u{306}"),
            ("İsa", "isa"),
            ("Mỹ", "My"),
            ("Hồ", "HO"),
            ("علی", "عَلِيّ"),
            ("علی‌رضا", "علیرضا"),
            ("أحمد", "احمد"),
            ("ज़ैनब", "जैनब"),
            ("Anna", "Ａｎｎａ"),
        ] {
            assert_eq!(applied(&[(word, "W")], &format!("x {text}, y")), ("x W, y".into(), 0), "{word} as {text}");
        }
    }

    #[test]
    fn short_names_with_small_words_around_them_are_covered() {
        for (word, text) in [
            ("Eva", "l'argent d'Eva"),
            ("Ali", "Ali'nin evi"),
            ("Li", "Li'ye"),
            ("Eva", "chez d\u{2bc}Eva"),
            ("Ana", "vidim Anu"),
            ("Jan", "s Janem"),
            ("علي", "وعلي قال"),
            ("דוד", "לדוד יש"),
            ("김민수", "김민수는"),
            ("민수", "김민수"),
            ("Kim Minsoo", "Kim said"),
            ("Li Na", "then Li left"),
        ] {
            let (made, doubts) = applied(&[(word, "W")], text);
            assert!(doubts == 1 && made.contains(COVER), "{word} in {text}: {made}");
        }
        for (word, text) in [
            ("Ana", "and any other"),
            ("Vincent van Gogh", "The Van is here, van"),
            ("Li", "Line by line"),
            ("Maria de la Cruz", "La maison de Paul"),
            ("علي", "قال"),
        ] {
            assert_eq!(applied(&[(word, "W")], text), (text.into(), 0), "{word}");
        }
    }

    #[test]
    fn long_lists_and_long_texts_end_in_time() {
        let words: Vec<String> = (0..MOST_WORDS).map(|i| format!("Name{i} Of{i}")).collect();
        let aliases = Aliases::new(words.iter().map(|w| (w.as_str(), "W"))).unwrap();
        let cue = Cue { start_ms: 0, end_ms: 1, lines: vec!["a ".repeat(250)] };
        let began = std::time::Instant::now();
        assert_eq!(aliases.apply(&vec![cue; 8]).0.len(), 8);
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }

    #[test]
    fn lists_that_defeat_themselves_are_refused() {
        assert!(Aliases::new([("Anna", "Anna B.")]).is_err());
        assert!(Aliases::new([("--", "x")]).is_err());
        assert!(Aliases::new([("Anna", "<i>")]).is_err());
        assert!(Aliases::new([]).is_ok());
    }
}
