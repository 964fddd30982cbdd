//! Prints the report: on the host with the standard library, on a Cortex-M through semihosting.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device;

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), limpid_cortex_m::Trouble> {
    let mut text = String::new();
    limpid_cortex_m::report(&mut text)?;
    print!("{text}");
    Ok(())
}
