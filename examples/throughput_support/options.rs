//! Command line of the throughput example.

use std::collections::BTreeMap;

use lexopt::prelude::*;

/// What the command line asks for.
#[derive(Default)]
pub struct Options {
    pub workload: Option<String>,
    pub architecture: Option<String>,
    pub method: Option<String>,
    pub threads: Option<usize>,
    pub quick: bool,
    pub help: bool,
    sizes: BTreeMap<String, usize>,
}

impl Options {
    pub fn from_arguments() -> Result<Self, String> {
        let mut options = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            match argument {
                Value(name) if options.workload.is_none() => options.workload = Some(name.string().map_err(text)?),
                Long("architecture") => {
                    options.architecture = Some(parser.value().and_then(|v| v.parse()).map_err(text)?);
                }
                Long("method") => options.method = Some(parser.value().and_then(|v| v.parse()).map_err(text)?),
                Long("help") | Short('h') => options.help = true,
                Long("quick") => options.quick = true,
                Long("threads") => options.threads = Some(parser.value().and_then(|v| v.parse()).map_err(text)?),
                Long(name) => {
                    let name = name.to_owned();
                    let size = parser.value().and_then(|value| value.parse::<usize>()).map_err(text)?;
                    options.sizes.insert(name, size);
                }
                other => return Err(text(other.unexpected())),
            }
        }
        Ok(options)
    }

    /// The named sizes, in order; each comes with its usual and its quick value. Other sizes are an error.
    pub fn sizes<const N: usize>(&self, known: [(&str, usize, usize); N]) -> Result<[usize; N], String> {
        self.known_sizes(known, "")
    }

    /// The named sizes and one more, which may be 0 and usually is.
    pub fn sizes_and<const N: usize>(
        &self,
        known: [(&str, usize, usize); N],
        optional: &str,
    ) -> Result<([usize; N], usize), String> {
        let more = self.sizes.get(optional).copied().unwrap_or(0);
        self.known_sizes(known, optional).map(|sizes| (sizes, more))
    }

    fn known_sizes<const N: usize>(&self, known: [(&str, usize, usize); N], also: &str) -> Result<[usize; N], String> {
        let is_known = |name: &String| name == also || known.iter().any(|(known, ..)| known == name);
        if let Some(name) = self.sizes.keys().find(|name| !is_known(name)) {
            return Err(format!("unknown option --{name} for this workload; --help lists them"));
        }
        let sizes = known.map(|(name, usual, quick)| {
            self.sizes.get(name).copied().unwrap_or(if self.quick { quick } else { usual })
        });
        match known.iter().zip(sizes).find(|(_, size)| *size == 0) {
            Some(((name, ..), _)) => Err(format!("--{name} must be at least 1")),
            None => Ok(sizes),
        }
    }
}

fn text(error: lexopt::Error) -> String {
    error.to_string()
}
