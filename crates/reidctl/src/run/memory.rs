//! Memory that ended pipelines leave goes back to the system. The program's only `unsafe`.

/// Freed memory at the end of a heap that may stay, bytes: glibc's own default before it adapts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 128 * 1024;

/// Tells glibc to return freed memory, and to have as many heaps as cores. Left alone it adapts to the largest frames that were freed and
/// then keeps blocks of that size, and it gives every thread of every pipeline a heap, up to eight a core. Measured: 0.17 MiB more with
/// each start of a camera, without end in 300 starts; with this nothing, and a third less memory in all.
pub fn return_what_is_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let heaps = i32::try_from(cores).unwrap_or(i32::MAX);
        // SAFETY: takes two numbers and changes nothing but the allocator's limits, under its own lock.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_ARENA_MAX, heaps);
        }
    }
}
