//! What libFuzzer calls, for one target.

macro_rules! fuzz {
    ($target:path) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| ($target.run)(data));

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            let mut dice = tillstick_fuzz::Dice::new(seed.into());
            if dice.below(4) == 0 {
                return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
            }
            let mut input = data[..size].to_vec();
            ($target.mutate)(&mut input, &mut dice);
            let size = input.len().min(max_size).min($target.max_len);
            data[..size].copy_from_slice(&input[..size]);
            size
        });
    };
}
