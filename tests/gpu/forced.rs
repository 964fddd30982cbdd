//! Kernels that the processor takes over: the tests of the kernels, with one of them on the processor.

use limpid::Error;
use limpid::gpu::kernels::Kernel;
use limpid::gpu::{GpuContext, GpuSettings, KERNELS};

use crate::support::{device, forced};
use crate::{covariance, gemm, optim, pairs, random, reduce, sae, select, sparse, toy, train};

/// Tests that call an entry of a kernel.
fn tests_of(kernel: &str, entry: &str) -> Vec<fn()> {
    match (kernel, entry) {
        ("gemm", "tile64") => vec![gemm::tiles_of_64_keep_their_bound, gemm::bias_and_activation_come_last],
        ("gemm", "tile128") => vec![gemm::tiles_of_128_keep_their_bound],
        ("gemm", "few_rows") => vec![
            gemm::few_rows_keep_their_bound,
            gemm::empty_sizes_are_sums_of_nothing,
            gemm::infinities_and_nan_stay_where_they_belong,
        ],
        ("select", _) => vec![select::all_sizes_agree, select::ties_nan_infinities_and_zeros_of_both_signs_agree],
        ("sparse", _) => vec![
            sparse::decoding_and_gradients_by_features_agree,
            sparse::errors_and_their_squares_agree,
            sparse::samples_of_latents_are_counted_and_summed_in_order,
            sparse::empty_codes_give_the_shift,
        ],
        ("optim", _) => vec![optim::adam_agrees, optim::gradients_are_projected_and_rows_have_unit_length],
        ("reduce", _) => vec![reduce::rows_columns_and_totals_agree, reduce::sums_of_nothing_are_zero],
        ("pointwise", _) => vec![optim::centring_is_exact, train::first_steps_agree],
        ("random", _) => {
            vec![random::words_are_those_of_the_processor, random::projections_have_the_signs_of_the_processor]
        }
        ("pairs", _) => vec![
            pairs::statistics_agree,
            pairs::pairs_that_are_not_finite_are_left_out,
            pairs::equal_values_have_no_spread_and_means_may_be_large,
            pairs::histograms_are_exact,
        ],
        ("covariance", _) => {
            vec![covariance::sums_of_outer_products_agree, covariance::factors_agree_with_those_of_the_processor]
        }
        ("toy", _) => vec![toy::runs_agree_where_the_samples_are_the_same, toy::training_stops_when_it_is_told_to],
        _ => Vec::new(),
    }
}

#[test]
fn every_entry_can_be_forced_alone() {
    if device(GpuSettings::default()).is_none() {
        return;
    }
    for kernel in KERNELS {
        for entry in kernel.entries {
            let name = format!("{}::{}", kernel.name, entry.name);
            assert!(forced(&name, &tests_of(kernel.name, entry.name)) > 0, "{name} was not done on the processor");
        }
    }
}

#[test]
fn autoencoders_agree_whichever_kernel_is_forced() {
    for kernel in KERNELS {
        forced(kernel.name, &[sae::features_and_reconstructions_agree, train::first_steps_agree]);
    }
}

#[test]
fn all_kernels_can_be_forced_together() {
    // the other kernels have one list of tests for all their entries
    let lists = |kernel: &&'static Kernel| {
        let count = if kernel.name == "gemm" { kernel.entries.len() } else { 1 };
        kernel.entries.iter().take(count).flat_map(|entry| tests_of(kernel.name, entry.name)).collect::<Vec<_>>()
    };
    let mut tests: Vec<fn()> = KERNELS.iter().flat_map(lists).collect();
    tests.extend([
        gemm::arrays_above_the_binding_limit_go_in_pieces as fn(),
        sae::features_and_reconstructions_agree,
        sae::ties_between_tiles_go_to_the_lower_latent,
        sae::no_samples_are_no_features,
        train::a_run_moves_between_processor_and_device,
        train::a_loss_that_is_not_finite_changes_nothing,
        toy::sparse_features_follow_the_same_law,
        toy::what_the_device_does_not_train_is_refused,
    ]);
    forced("all", &tests);
}

#[test]
fn kernels_that_do_not_exist_are_refused() {
    for name in ["gem", "gemm::top_k", "", "gemm,select"] {
        let settings = GpuSettings { on_processor: vec![name.to_owned()], ..GpuSettings::default() };
        assert!(matches!(GpuContext::new(settings), Err(Error::Unsupported { .. })), "{name}");
    }
}
