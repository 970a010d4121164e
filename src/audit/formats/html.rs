//! One page for a security officer: summary, every control with the text of its source, verdict and evidence, exceptions
//! with their expiry, what has changed. No script, nothing loaded from elsewhere; it prints.

use super::markup::escape;
use crate::audit::compare::{Change, Comparison};
use crate::audit::{Deviation, Finding, Report, Subject, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;

const STYLE: &str = include_str!("html.css");

/// The page; `before` is the last run.
pub fn html(report: &Report, before: Option<&Report>) -> String {
    let mut out =
        String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n");
    let host = escape(&report.host.name);
    let _ = writeln!(
        out,
        "<title>Container audit of {host}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>"
    );
    let _ = writeln!(
        out,
        "<h1>Container audit of {host}</h1>\n<p class=\"about\">{}, kernel {}, {}{}</p>",
        escape(&report.time),
        escape(&report.host.kernel),
        escape(&report.tool),
        report
            .policy
            .as_ref()
            .map_or(String::new(), |p| format!(", policy {}", escape(p)))
    );
    overview(&mut out, report);
    exceptions(&mut out, report);
    if let Some(before) = before {
        changes(&mut out, before, report);
    }
    for (at, subject) in report.subjects.iter().enumerate() {
        one(&mut out, at, subject);
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// The class of a verdict in the style sheet.
fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "fail",
        Verdict::Waived(_) => "waived",
        Verdict::NotAssessed { .. } => "unseen",
        Verdict::Pass => "pass",
        Verdict::NotApplicable { .. } => "none",
    }
}

fn chip(verdict: &Verdict) -> String {
    format!(
        "<span class=\"chip {}\">{}</span>",
        class(verdict),
        verdict.word()
    )
}

fn overview(out: &mut String, report: &Report) {
    out.push_str("<h2>Summary</h2>\n<table><tr><th>Subject</th><th>Controls not met</th><th>waived</th><th>met</th><th>not assessed</th><th>not applicable</th></tr>\n");
    for (at, subject) in report.subjects.iter().enumerate() {
        let controls = subject.by_control();
        let count = |word: &str| controls.iter().filter(|(_, v, _)| v.word() == word).count();
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#s{at}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&subject.name),
            count("FAIL"),
            count("waived"),
            count("pass"),
            count("not assessed"),
            count("n/a")
        );
    }
    out.push_str("</table>\n<p class=\"note\">A control is met if everything about it was looked at and nothing is amiss. What could not be seen is not assessed: it may or may not hold. A waived control is not met; an approved exception allows that until its last day.</p>\n");
}

fn exceptions(out: &mut String, report: &Report) {
    let mut used: BTreeMap<&str, (&Deviation, Vec<String>)> = BTreeMap::new();
    for (subject, finding) in report
        .subjects
        .iter()
        .flat_map(|s| s.findings.iter().map(move |f| (s, f)))
    {
        if let Verdict::Waived(deviation) = &finding.verdict {
            let entry = used
                .entry(&deviation.exception)
                .or_insert((deviation, Vec::new()));
            entry.1.push(format!("{}: {}", subject.name, finding.tried));
        }
    }
    out.push_str("<h2>Exceptions in use</h2>\n");
    if used.is_empty() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    out.push_str("<table><tr><th>Exception</th><th>Until</th><th>Allows</th><th>Approved by</th><th>Reference</th><th>Used for</th></tr>\n");
    for (id, (d, places)) in used {
        let places: Vec<String> = places.iter().map(|p| escape(p)).collect();
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(id),
            escape(&d.expires),
            escape(&d.grants),
            escape(&d.approver),
            escape(&d.reference),
            places.join("<br>")
        );
    }
    out.push_str("</table>\n");
}

fn changes(out: &mut String, before: &Report, report: &Report) {
    let found = Comparison::of(before, report);
    let _ = writeln!(out, "<h2>Since {}</h2>", escape(&before.time));
    let rows: Vec<(&str, &Change)> = [
        ("worse", &found.worse),
        ("better", &found.better),
        ("changed", &found.other),
    ]
    .iter()
    .flat_map(|(word, all)| all.iter().map(move |c| (*word, c)))
    .collect();
    if rows.is_empty() && found.new.is_empty() && found.gone.is_empty() {
        out.push_str("<p>Nothing has changed.</p>\n");
        return;
    }
    out.push_str("<table><tr><th></th><th>Subject</th><th>Finding</th><th>Before</th><th>Now</th><th>Seen</th></tr>\n");
    for (word, c) in rows {
        let _ = writeln!(
            out,
            "<tr><td>{word}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&c.subject),
            escape(&c.finding),
            c.before.unwrap_or("not looked at"),
            c.after.unwrap_or("not looked at"),
            escape(&c.answer)
        );
    }
    out.push_str("</table>\n");
    for (word, names) in [("New", &found.new), ("Gone", &found.gone)] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|n| escape(n)).collect();
            let _ = writeln!(out, "<p>{word}: {}</p>", names.join(", "));
        }
    }
}

fn one(out: &mut String, at: usize, subject: &Subject) {
    let _ = writeln!(
        out,
        "<h2 id=\"s{at}\" class=\"subject\">{}</h2>",
        escape(&subject.name)
    );
    let facts: Vec<String> = subject
        .facts
        .iter()
        .map(|(k, v)| format!("{} {}", escape(k), escape(v)))
        .collect();
    let _ = writeln!(out, "<p class=\"about\">{}</p>", facts.join(", "));
    if let Some(why) = &subject.unreadable {
        let _ = writeln!(
            out,
            "<p class=\"chip fail\">Could not be judged: {}</p>",
            escape(why)
        );
        return;
    }
    let mut controls = subject.by_control();
    controls.sort_by_key(|(id, verdict, _)| (verdict.rank(), *id));
    for (id, verdict, findings) in controls {
        let control = id.control();
        let _ = writeln!(
            out,
            "<section class=\"control {}\">\n<h3>{} {} {}</h3>\n<blockquote>{}</blockquote>",
            class(&verdict),
            chip(&verdict),
            escape(control.text),
            escape(control.title),
            escape(control.source)
        );
        if findings.is_empty() {
            let _ = writeln!(
                out,
                "<p class=\"note\">{}</p>",
                escape(&verdict.why().unwrap_or_default())
            );
        } else {
            list(out, &findings);
        }
        out.push_str("</section>\n");
    }
}

fn list(out: &mut String, findings: &[&Finding]) {
    out.push_str("<table class=\"findings\"><tr><th>Verdict</th><th>Looked at</th><th>Expected</th><th>Seen</th><th>Evidence</th></tr>\n");
    let mut findings = findings.to_vec();
    findings.sort_by_key(|f| f.verdict.rank());
    for f in findings {
        let mut seen = escape(&f.answer);
        if let Some(why) = f.verdict.why() {
            let _ = write!(seen, "<div class=\"note\">{}</div>", escape(&why));
        }
        if let (Verdict::Fail | Verdict::Waived(_), Some(remedy)) = (&f.verdict, &f.remedy) {
            let _ = write!(
                seen,
                "<div class=\"note\">To mend it: {}</div>",
                escape(remedy)
            );
        }
        let evidence: Vec<String> = f
            .evidence
            .iter()
            .map(|e| format!("<code>{}</code> {}", escape(&e.source), escape(&e.text)))
            .collect();
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}<div class=\"id\">{}</div></td><td>{}</td><td>{seen}</td><td>{}</td></tr>",
            chip(&f.verdict),
            escape(&f.tried),
            escape(&f.id),
            escape(&f.expected),
            evidence.join("<br>")
        );
    }
    out.push_str("</table>\n");
}
