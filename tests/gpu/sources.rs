//! The shaders themselves: valid, within the limits of every browser, and listed in the table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use limpid::gpu::KERNELS;
use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};
use wgpu::naga::{AddressSpace, StorageAccess, front::wgsl, proc::Layouter};

#[test]
fn every_shader_is_valid_and_portable() {
    for kernel in KERNELS {
        let module = wgsl::parse_str(kernel.source).unwrap_or_else(|e| panic!("{}", e.emit_to_string(kernel.source)));
        let info = Validator::new(ValidationFlags::all(), Capabilities::default()).validate(&module);
        let info = info.unwrap_or_else(|e| panic!("{}", e.emit_to_string(kernel.source)));
        let mut layouts = Layouter::default();
        layouts.update(module.to_ctx()).unwrap();
        for (index, entry) in module.entry_points.iter().enumerate() {
            let used = |space: AddressSpace| {
                let uses = info.get_entry_point(index);
                module.global_variables.iter().filter(move |(handle, v)| v.space == space && !uses[*handle].is_empty())
            };
            let bytes: u32 = used(AddressSpace::WorkGroup).map(|(_, variable)| layouts[variable.ty].size).sum();
            assert!(bytes <= 16_384, "{}::{} uses {bytes} bytes of a workgroup", kernel.name, entry.name);
            let storage = module.global_variables.iter().filter(|(handle, variable)| {
                matches!(variable.space, AddressSpace::Storage { .. })
                    && !info.get_entry_point(index)[*handle].is_empty()
            });
            let (written, read): (Vec<_>, Vec<_>) = storage.partition(|(_, variable)| {
                matches!(variable.space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE))
            });
            assert!(written.len() + read.len() <= 8, "{}::{} has too many bindings", kernel.name, entry.name);
            let written = written.iter().filter_map(|(_, variable)| variable.binding.as_ref());
            let written: BTreeSet<u32> = written.map(|at| at.binding).collect();
            let [x, y, z] = entry.workgroup_size;
            let listed = kernel.entries.iter().find(|listed| listed.name == entry.name);
            let listed = listed.map(|listed| (listed.workgroup, listed.writes.iter().copied().collect()));
            assert_eq!(listed, Some((x * y * z, written)), "{}::{}", kernel.name, entry.name);
            assert!(x * y * z <= 256);
        }
        assert_eq!(module.entry_points.len(), kernel.entries.len(), "{}", kernel.name);
    }
}

#[test]
fn the_table_lists_every_file_and_every_entry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter_map(|name| name.strip_suffix(".wgsl").map(str::to_owned)).collect();
    let listed: BTreeSet<String> = KERNELS.iter().map(|kernel| kernel.name.to_owned()).collect();
    assert_eq!(files, listed);
    let table = fs::read_to_string(folder.join("README.md")).unwrap();
    for kernel in KERNELS {
        for entry in kernel.entries {
            let row = format!("| `{}` | `{}` |", kernel.name, entry.name);
            let line = table.lines().find(|line| line.starts_with(&row));
            let line = line.unwrap_or_else(|| panic!("kernels/README.md has no row {row}"));
            assert!(line.contains(&format!("| {} |", entry.workgroup)), "{line}");
        }
    }
}
