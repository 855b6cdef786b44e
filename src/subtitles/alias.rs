//! Words that must not appear, and what stands in their place.

use super::Cue;
use crate::{Error, Result};

/// Most words of a list, and letters of a word.
const MOST_WORDS: usize = 5000;
const MOST_LETTERS: usize = 100;
/// What covers a word that is only like a listed one.
const COVER: &str = "…";

/// A list of words with their aliases.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    /// Folded tokens of each entry, and the alias; longer entries first.
    entries: Vec<(Vec<String>, String)>,
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
        let list = Aliases { entries };
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
        // Letter by letter: A-n-n-a.
        spaced || self.spelt(&tokens).next().is_some()
    }

    fn entry_at(&self, tokens: &[Token]) -> Option<&(Vec<String>, String)> {
        let same = |e: &&(Vec<String>, String)| {
            e.0.len() <= tokens.len() && e.0.iter().zip(tokens).all(|(word, t)| is_form(&t.folded, word))
        };
        self.entries.iter().find(same)
    }

    /// Runs of tokens of one letter that spell a listed word of at least three letters: first and last token.
    fn spelt<'t>(&'t self, tokens: &'t [Token]) -> impl Iterator<Item = (usize, usize)> + 't {
        let single = |t: &Token| t.folded.chars().count() == 1;
        (0..tokens.len()).filter_map(move |i| {
            let run = tokens[i..].iter().take_while(|t| single(t)).count();
            let letters: String = tokens[i..i + run].iter().map(|t| t.folded.as_str()).collect();
            let words = self.entries.iter().map(|e| e.0.concat());
            let found =
                words.filter(|w| w.chars().count() >= 3 && letters.starts_with(w.as_str())).max_by_key(String::len)?;
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
            } else if self.is_near(&tokens[i].folded) {
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

    /// Whether a word is like a listed one: one letter in four differs, or it begins or ends with all of it.
    fn is_near(&self, word: &str) -> bool {
        let length = word.chars().count();
        self.entries.iter().flat_map(|e| &e.0).any(|listed| {
            let n = listed.chars().count();
            if n < 4 || length < 3 {
                return false;
            }
            let inside = length > n && (word.starts_with(listed.as_str()) || word.ends_with(listed.as_str()));
            inside || (n.abs_diff(length) <= n / 4 && distance(word, listed) <= n / 4)
        })
    }
}

/// Whether a token is a word or its genitive.
fn is_form(token: &str, word: &str) -> bool {
    token == word || token.strip_prefix(word).is_some_and(|end| end == "s" || end == "'s")
}

/// Letters, digits and apostrophes within; compared in lower case and without the usual accents.
fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        let inner = matches!(c, '\'' | '’') && open && text[at + c.len_utf8()..].starts_with(char::is_alphabetic);
        // Accents that are letters of their own join the word before.
        let accent = open && matches!(c as u32, 0x300..=0x36f);
        if !(c.is_alphanumeric() || inner || accent) {
            open = false;
            continue;
        }
        if !open {
            out.push(Token { from: at, to: at, folded: String::new() });
        }
        open = true;
        if let Some(token) = out.last_mut() {
            token.to = at + c.len_utf8();
            if inner {
                token.folded.push('\'');
            } else if !accent {
                c.to_lowercase().for_each(|l| fold(l, &mut token.folded));
            }
        }
    }
    out
}

/// A lower-case letter without accent; Greek and Cyrillic letters that look like Latin ones become those.
fn fold(c: char, out: &mut String) {
    let plain = match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ả' | 'ạ' | 'а' | 'α' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' | 'с' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẹ' | 'ế' | 'е' | 'ё' | 'ε' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'і' | 'ι' | 'ї' => 'i',
        'ĺ' | 'ļ' | 'ľ' | 'ł' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'о' | 'ο' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' | 'ѕ' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ý' | 'ÿ' | 'у' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'х' => 'x',
        'р' | 'ρ' => 'p',
        'к' => 'k',
        'т' => 't',
        'м' => 'm',
        'ß' => return out.push_str("ss"),
        'æ' => return out.push_str("ae"),
        'œ' => return out.push_str("oe"),
        other => other,
    };
    out.push(plain);
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
    fn lists_that_defeat_themselves_are_refused() {
        assert!(Aliases::new([("Anna", "Anna B.")]).is_err());
        assert!(Aliases::new([("--", "x")]).is_err());
        assert!(Aliases::new([("Anna", "<i>")]).is_err());
        assert!(Aliases::new([]).is_ok());
    }
}
