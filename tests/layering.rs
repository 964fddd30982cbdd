//! Dependencies point one way: areas -> `math` -> `scalar`, `error`; areas never import each other, and what sits on top
//! is imported by nothing.

mod source;

use source::{Source, rust_files};

const AREAS: [&str; 5] = ["attribution", "influence", "explanation", "superposition", "sae"];
const FOUNDATION: [&str; 3] = ["math", "scalar", "error"];

/// Modules that a file of `room` may name after `crate::`; `None` where all are open to it.
fn allowed(room: &str) -> Option<Vec<&str>> {
    match room {
        "error" | "scalar" => Some(vec!["scalar", "error"]),
        "math" => Some(FOUNDATION.to_vec()),
        area if AREAS.contains(&area) => Some([&FOUNDATION[..], &[area]].concat()),
        "formats" => Some([&FOUNDATION[..], &AREAS, &["formats"]].concat()),
        "gpu" => Some([&FOUNDATION[..], &AREAS, &["gpu"]].concat()),
        "lib" => None,
        _ => Some(Vec::new()),
    }
}

/// First part of a path under `src/`: `src/math/par.rs` and `src/math.rs` are both in `math`.
fn room(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// Everything in `file` that breaks the layering, in words.
fn violations(file: &Source) -> Vec<String> {
    let (code, mut found) = (file.code(), forbidden_imports(file));
    for (name, homes) in
        [("rayon", &["src/math/par.rs"][..]), ("fearless_simd", &["src/math/simd.rs", "src/scalar/vector.rs"])]
    {
        if words(&code).any(|word| word == name) && !homes.contains(&file.path.as_str()) {
            found.push(format!("{}: names {name}, which belongs to {}", file.path, homes.join(" and ")));
        }
    }
    for name in ["wgpu", "bytemuck", "pollster"] {
        if room(&file.path) != "gpu" && words(&code).any(|word| word == name) {
            found.push(format!("{}: names {name}, which belongs to src/gpu/", file.path));
        }
    }
    let may_choose = matches!(room(&file.path), "lib" | "scalar" | "math");
    for (number, (code, text)) in code.lines().zip(file.text.lines()).enumerate() {
        let whole_module = file.path == "src/formats/mod.rs" && text == "#[cfg(feature = \"std\")]";
        let chooses = code.contains("cfg")
            && code.contains("feature =")
            && !text.contains("cfg_attr(feature = \"serde\"")
            && !whole_module;
        if chooses && !may_choose {
            found.push(format!("{}:{}: a feature choice outside lib.rs, scalar.rs and math/", file.path, number + 1));
        }
    }
    found
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn forbidden_imports(file: &Source) -> Vec<String> {
    let Some(open) = allowed(room(&file.path)) else { return Vec::new() };
    let names = imported(&file.code()).into_iter().filter(|name| name.starts_with(char::is_lowercase));
    let closed = names.filter(|name| !open.contains(&name.as_str()));
    closed.map(|name| format!("{}: imports crate::{name}", file.path)).collect()
}

/// The first name of every path that starts with `crate::`, and of every branch of `crate::{..}`.
fn imported(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        // `$crate::` and `pub(crate)` never come this way; `super::` cannot leave an area without naming it
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(branches) => names.extend(first_names(branches)),
            None => names.extend(words(rest).next().map(str::to_owned)),
        }
    }
    names
}

/// First names of the branches of `a::b, c, d::{e, f}}`, up to the closing brace.
fn first_names(branches: &str) -> Vec<String> {
    let (mut depth, mut names, mut at_start) = (0, Vec::new(), true);
    for (at, c) in branches.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && !c.is_whitespace() => {
                names.extend(words(&branches[at..]).next().map(str::to_owned));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

/// `super::super` from a file right under an area reaches the crate's root, and so past `crate::`.
fn climbs_out(file: &Source) -> bool {
    let depth = file.path.matches('/').count() + usize::from(!file.path.ends_with("mod.rs"));
    file.code().contains(&"super::".repeat(depth.saturating_sub(1).max(1) + 1))
}

#[test]
fn dependencies_point_one_way() {
    let files = rust_files(&["src"]);
    assert!(files.len() > 10, "only {} files were found", files.len());
    let found: Vec<String> = files.iter().flat_map(violations).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    let climbing: Vec<&str> = files.iter().filter(|file| climbs_out(file)).map(|file| file.path.as_str()).collect();
    assert!(climbing.is_empty(), "super:: leaves the area in {climbing:?}");
}

#[test]
fn a_planted_violation_is_caught() {
    let caught = |path: &str, text: &str| !violations(&Source::new(path, text)).is_empty();
    assert!(caught("src/sae/model.rs", "use crate::superposition::ToyModel;"));
    assert!(caught("src/sae/model.rs", "use crate::{Result, superposition::{A, B}};"));
    assert!(caught("src/sae/model.rs", "fn f() { crate::attribution::f() }"));
    assert!(caught("src/math/rank.rs", "use crate::sae::codes;"));
    assert!(caught("src/error.rs", "use crate::math::par;"));
    assert!(caught("src/scalar/vector.rs", "use crate::math::par;"));
    assert!(caught("src/sae/model.rs", "use crate::gpu::context;"));
    assert!(caught("src/math/gemm.rs", "fn f(device: &wgpu::Device) {}"));
    assert!(caught("src/math/gemm.rs", "use rayon::prelude::*;"));
    assert!(caught("src/math/gemm.rs", "fearless_simd::dispatch!(level, simd => f(simd));"));
    assert!(caught("src/sae/model.rs", "#[cfg(feature = \"std\")] fn f() {}"));
    assert!(caught("src/sae/model.rs", "#[cfg_attr(feature = \"std\", inline)] fn f() {}"));
    assert!(caught("src/sae/model.rs", "#[cfg(not(feature = \"std\"))] fn f() {}"));
    assert!(caught("src/formats/npz.rs", "#[cfg(feature = \"std\")]\nmod disk;"));
}

#[test]
fn what_is_allowed_passes() {
    let caught = |path: &str, text: &str| violations(&Source::new(path, text));
    let none: Vec<String> = Vec::new();
    assert_eq!(caught("src/sae/model.rs", "use crate::{Error, Result, math::{par, simd}, sae::codes};"), none);
    assert_eq!(caught("src/sae/model.rs", "#[cfg_attr(feature = \"serde\", derive(Serialize))] struct A;"), none);
    assert_eq!(caught("src/sae/model.rs", "// use crate::superposition; rayon\nlet s = \"crate::attribution\";"), none);
    assert_eq!(caught("src/math/par.rs", "#[cfg(feature = \"rayon\")] use rayon::prelude::*;"), none);
    assert_eq!(caught("src/formats/npz.rs", "use crate::sae::model;"), none);
    assert_eq!(caught("src/gpu/pool.rs", "use crate::{sae::model, math::par}; fn f(device: &wgpu::Device) {}"), none);
    assert_eq!(caught("src/formats/mod.rs", "#[cfg(feature = \"std\")]\npub mod disk;"), none);
}
