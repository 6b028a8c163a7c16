//! What the machine offers.

use std::fs;
use std::process::{Command, Stdio};

/// Memory of the whole machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    pub available: u64,
}

/// The machine's memory, where the system says it in /proc/meminfo.
pub fn memory() -> Option<Memory> {
    parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_meminfo(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { total: field("MemTotal")?, available: field("MemAvailable")? })
}

/// The first words of `ffmpeg -version`, if it is installed.
pub fn ffmpeg() -> Option<String> {
    let output = Command::new("ffmpeg").arg("-version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.lines().next()?.split_whitespace().take(3).collect();
    output.status.success().then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal:       24683924 kB\nMemFree: 1 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(
            parse_meminfo(text),
            Some(Memory { total: 24_683_924 << 10, available: 23_000_000 << 10 })
        );
        assert_eq!(parse_meminfo("MemTotal: x kB"), None);
    }
}
