//! The README's console transcripts, run: a line after `$ ` is a command, what follows is its output.
//! `? N` is an exit code other than 0, `...` stands for any lines.

use std::process::Command;

struct Step {
    line: usize,
    words: Vec<String>,
    code: i32,
    output: Vec<String>,
}

fn steps() -> Vec<Step> {
    let text = include_str!("../README.md");
    let mut out: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ cofferdam "), line.strip_prefix("? ")) {
                (Some(command), _) => out.push(Step {
                    line: number + 1,
                    words: command.split(' ').map(String::from).collect(),
                    code: 0,
                    output: Vec::new(),
                }),
                (None, Some(code)) => out.last_mut().unwrap().code = code.parse().unwrap(),
                (None, None) => out.last_mut().unwrap().output.push(line.into()),
            },
            (false, _) => {}
        }
    }
    out
}

#[test]
fn the_transcripts_are_true() {
    let steps = steps();
    assert!(steps.len() >= 3, "the README has lost its transcripts");
    let state = tempfile::tempdir().unwrap();
    for step in steps {
        let done = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
            .arg("--root")
            .arg(state.path())
            .args(&step.words)
            .output()
            .unwrap();
        let at = format!("README.md:{}: {}", step.line, step.words.join(" "));
        let shown = [done.stdout, done.stderr].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert_eq!(done.status.code(), Some(step.code), "{at}\n{shown}");
        let shown: Vec<&str> = shown.lines().collect();
        let wanted: Vec<&str> = step.output.iter().map(String::as_str).collect();
        match wanted.iter().position(|l| *l == "...") {
            Some(at_least) => assert_eq!(wanted[..at_least], shown[..at_least], "{at}"),
            None => assert_eq!(wanted, shown, "{at}"),
        }
    }
}
