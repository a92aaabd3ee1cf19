import CNghttp2

/// What the sessions of one worker share: blocks of memory that go round among them, room for the fields of a head that is being
/// sent, nghttp2's small objects, and its tables of callbacks and options. For one thread.
///
/// An idle session holds no block, and a request in steady state takes its blocks from here and brings them back.
public final class HTTP2Memory {
    let pool: UnsafeMutablePointer<BlockPool>
    let objects: UnsafeMutablePointer<SmallObjects>
    let allocator: UnsafeMutablePointer<nghttp2_mem>
    let callbacks: OpaquePointer
    let option: OpaquePointer

    /// Nil when there is no memory.
    public init?() {
        var callbacks: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else { return nil }
        var option: OpaquePointer?
        guard nghttp2_option_new(&option) == 0, let option else {
            nghttp2_session_callbacks_del(callbacks)
            return nil
        }
        installCallbacks(callbacks)
        HTTP2Memory.configure(option)
        self.callbacks = callbacks
        self.option = option
        pool = .allocate(capacity: 1)
        pool.initialize(to: BlockPool())
        objects = .allocate(capacity: 1)
        objects.initialize(to: SmallObjects())
        allocator = .allocate(capacity: 1)
        allocator.initialize(to: makeAllocator(objects))
    }

    deinit {
        pool.pointee.release()
        pool.deinitialize(count: 1)
        pool.deallocate()
        objects.pointee.release()
        objects.deinitialize(count: 1)
        objects.deallocate()
        allocator.deinitialize(count: 1)
        allocator.deallocate()
        nghttp2_option_del(option)
        nghttp2_session_callbacks_del(callbacks)
    }

    /// Bytes that wait to be used again.
    public var idleBytes: Int { pool.pointee.idleBytes }

    /// The limits that nghttp2 has are set to ours, as a second line behind the budgets. Never `no_http_messaging`, nor without
    /// the check of white space around values: its checks of messages are what the text of a head relies on.
    private static func configure(_ option: OpaquePointer) {
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_no_closed_streams(option, 1)
        nghttp2_option_set_max_settings(option, 32)
        nghttp2_option_set_max_outbound_ack(option, 256)
        // Ours is eight. This one counts each read that a frame's header comes in, nine at most.
        nghttp2_option_set_max_continuations(option, 80)
        nghttp2_option_set_max_reserved_remote_streams(option, 0)
        nghttp2_option_set_max_send_header_block_length(option, 1 << 20)
    }
}
