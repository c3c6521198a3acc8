//! The allocator's part in how much memory this process has.

/// Has the allocator give the system back what nothing is in, after much was freed. It does so by itself only where it is
/// asked for more: a policy that was replaced would stay resident on a host where not much happens.
///
/// Where a program has another allocator, this does nothing.
pub fn give_back() {
    // SAFETY: `mi_collect` has no conditions; it looks at what mimalloc itself keeps, and locks where it must.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
