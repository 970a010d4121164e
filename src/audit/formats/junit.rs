//! JUnit XML: a suite a subject, a case a finding, its class the control. Waived and not assessed cases are skipped
//! with the reason, never passed.

use super::markup::escape;
use crate::audit::{Finding, Report, Subject, Verdict};
use std::fmt::Write;

/// The document.
pub fn junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (at, subject) in report.subjects.iter().enumerate() {
        suite(&mut out, report, at, subject);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, report: &Report, at: usize, subject: &Subject) {
    let errors = usize::from(subject.unreadable.is_some());
    let skipped = subject.findings.len() - subject.count("FAIL") - subject.count("pass");
    // Without a zone and without fractions, as the schema has it.
    let time = escape(report.time.get(..19).unwrap_or("1970-01-01T00:00:00"));
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" package=\"cofferdam.audit\" id=\"{at}\" timestamp=\"{time}\" hostname=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"0\">",
        escape(&subject.name),
        escape(&report.host.name),
        subject.findings.len() + errors,
        subject.count("FAIL"),
    );
    out.push_str("    <properties>\n");
    let own = [("tool".to_string(), report.tool.clone())];
    for (name, value) in own.iter().chain(&subject.facts) {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(out, "      <property name=\"{name}\" value=\"{value}\"/>");
    }
    out.push_str("    </properties>\n");
    if let Some(why) = &subject.unreadable {
        let why = escape(why);
        let _ = writeln!(
            out,
            "    <testcase name=\"judge\" classname=\"cofferdam\" time=\"0\"><error message=\"{why}\" type=\"unreadable\"/></testcase>"
        );
    }
    for finding in &subject.findings {
        case(out, finding);
    }
    out.push_str("    <system-out></system-out>\n    <system-err></system-err>\n  </testsuite>\n");
}

fn case(out: &mut String, finding: &Finding) {
    let class = finding.controls.first().map_or("", |c| c.as_str());
    let _ = write!(
        out,
        "    <testcase name=\"{}: {}\" classname=\"{class}\" time=\"0\"",
        escape(&finding.id),
        escape(&finding.tried)
    );
    let inside = match &finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => {
            let message = format!("{}; expected {}", finding.answer, finding.expected);
            let mut text = String::new();
            for e in &finding.evidence {
                let _ = writeln!(text, "{}: {}", escape(&e.source), escape(&e.text));
            }
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(text, "to mend it: {}", escape(remedy));
            }
            let message = escape(&message);
            Some(format!(
                "<failure message=\"{message}\" type=\"not-satisfied\">{text}</failure>"
            ))
        }
        other => {
            let why = other.why().unwrap_or_default();
            let message = escape(&format!("{}: {why}", other.word()));
            Some(format!("<skipped message=\"{message}\"/>"))
        }
    };
    let _ = match inside {
        None => writeln!(out, "/>"),
        Some(inside) => writeln!(out, ">{inside}</testcase>"),
    };
}
