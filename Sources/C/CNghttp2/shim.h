/* nghttp2's sessions: frames, HPACK, flow control and stream states. Core/HTTP2 feeds them with bytes and takes bytes out. */
#include <nghttp2/nghttp2.h>

/* Macros with casts and negative enumerators, as functions and plain numbers. */
static inline int32_t cnghttp2_window_max(void) { return NGHTTP2_MAX_WINDOW_SIZE; }
static inline ssize_t cnghttp2_deferred(void) { return NGHTTP2_ERR_DEFERRED; }
static inline int cnghttp2_would_block(void) { return NGHTTP2_ERR_WOULDBLOCK; }
static inline int cnghttp2_give_up_stream(void) { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; }
static inline int cnghttp2_give_up_connection(void) { return NGHTTP2_ERR_CALLBACK_FAILURE; }
