/* OpenSSL 3: its headers, its macros as functions, and a BIO that reads and writes memory. */
#ifndef COPENSSL_H
#define COPENSSL_H

#define OPENSSL_API_COMPAT 30000
#define OPENSSL_NO_DEPRECATED

#include <stddef.h>
#include <stdint.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

struct copenssl_session;

/* Where the sessions of one thread take ciphertext from and leave it: nothing here touches a descriptor. */
struct copenssl_buffers {
    const uint8_t *feed;      /* what the peer sent and OpenSSL has not taken yet */
    size_t feed_count;
    uint8_t *output;          /* what is to be sent to the peer; malloc */
    size_t output_count;
    size_t output_capacity;
    struct copenssl_session *writer;   /* whose the output is */
};

/* One session. Belongs to the thread of its buffers. */
struct copenssl_session {
    SSL *ssl;
    struct copenssl_buffers *buffers;
    void *owner;              /* the server or client that it was made from, retained by Swift */
    void *resumption;         /* retained by Swift; NULL: no session is kept */
    uint64_t steps;           /* of further handshakes, since the first ended */
    uint8_t refusal;          /* why a callback refused, in the words of Swift; 0: none did */
    uint8_t offer;            /* a client's: the one protocol that it offers (ALPN), in the words of Swift; 0: the context's */
    uint8_t is_client;
    uint8_t is_established;   /* the handshake is done */
    uint8_t has_failed;       /* only freeing is left */
};

/* NULL when memory is short. The session neither retains nor releases what `owner` and `resumption` name. */
struct copenssl_session *copenssl_session_new(SSL_CTX *context, struct copenssl_buffers *buffers, int is_client);
/* Output of the session that nobody took is dropped. */
void copenssl_session_free(struct copenssl_session *session);
static inline struct copenssl_session *copenssl_session_of(const SSL *ssl) {
    return (struct copenssl_session *)BIO_get_data(SSL_get_rbio(ssl));
}

/* Forgets the output and gives back its memory where that is more than `keep`. */
void copenssl_output_clear(struct copenssl_buffers *buffers, size_t keep);

/* The thread's error queue, which SSL_get_error reads, made empty. */
static inline void copenssl_errors_clear(void) {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

/* Macros. */
static inline int copenssl_context_versions(SSL_CTX *context, int oldest, int newest) {
    return SSL_CTX_set_min_proto_version(context, oldest) && SSL_CTX_set_max_proto_version(context, newest);
}
static inline int copenssl_context_groups(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, list);
}
static inline void copenssl_context_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }
static const uint64_t copenssl_option_no_compression = SSL_OP_NO_COMPRESSION;
static const uint64_t copenssl_option_no_renegotiation = SSL_OP_NO_RENEGOTIATION;
static const uint64_t copenssl_option_no_ticket = SSL_OP_NO_TICKET;
static inline void copenssl_context_cache(SSL_CTX *context, long mode) { SSL_CTX_set_session_cache_mode(context, mode); }
static inline void copenssl_context_set_object(SSL_CTX *context, void *object) { SSL_CTX_set_app_data(context, object); }
static inline void *copenssl_context_object(const SSL_CTX *context) { return SSL_CTX_get_app_data(context); }
static inline void copenssl_context_on_name(SSL_CTX *context, int (*call)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(context, call);
}
static inline void copenssl_context_on_status(SSL_CTX *context, int (*call)(SSL *, void *)) {
    SSL_CTX_set_tlsext_status_cb(context, call);
}
static inline int copenssl_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
/* OpenSSL frees the bytes, which are of OPENSSL_malloc. */
static inline void copenssl_set_status(SSL *ssl, uint8_t *bytes, size_t count) {
    SSL_set_tlsext_status_ocsp_resp(ssl, bytes, (long)count);
}
/* A client asks for the status of the server's certificate, and what it was told: its length, or -1. */
static inline int copenssl_ask_status(SSL *ssl) { return (int)SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp); }
static inline long copenssl_told_status(SSL *ssl, uint8_t **bytes) { return SSL_get_tlsext_status_ocsp_resp(ssl, bytes); }
static inline int copenssl_set_signature_algorithms(SSL *ssl, const char *list) { return (int)SSL_set1_sigalgs_list(ssl, list); }
static inline void *copenssl_malloc(size_t count) { return OPENSSL_malloc(count); }
static inline void copenssl_free(void *memory) { OPENSSL_free(memory); }

/* Makes both contexts of a session ticket ready (AES-256-CBC, HMAC-SHA256; keys of 32 bytes, vector of 16). 1: done. */
int copenssl_ticket_keys(
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const uint8_t *vector, const uint8_t *cipher_key, const uint8_t *mac_key, int encrypt);

/* Lists of certificates. */
static inline STACK_OF(X509) *copenssl_chain_new(void) { return sk_X509_new_null(); }
static inline int copenssl_chain_push(STACK_OF(X509) *chain, X509 *certificate) { return sk_X509_push(chain, certificate); }
/* The list alone: the certificates are whose they were. */
static inline void copenssl_chain_free(STACK_OF(X509) *chain) { sk_X509_free(chain); }

/* The names that a certificate is for; free with GENERAL_NAMES_free. NULL: it has none, or they cannot be read. */
GENERAL_NAMES *copenssl_names(const X509 *certificate);
static inline int copenssl_names_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
/* The kind (GEN_DNS, GEN_URI, GEN_EMAIL, GEN_IPADD) and bytes of one of them, or -1 for a kind that is not listed here. */
int copenssl_name_at(const GENERAL_NAMES *names, int i, const uint8_t **bytes, size_t *count);

/* Writes the subject, most significant part last, anything but printable ASCII escaped (RFC 2253). Negative: it failed. */
static inline int copenssl_subject_print(BIO *to, const X509 *certificate) {
    return X509_NAME_print_ex(to, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
}

/* Seconds since 1970; INT64_MIN where the time cannot be read. */
int64_t copenssl_seconds(const ASN1_TIME *time);

/* A BIO that reads these bytes, which outlive it. */
static inline BIO *copenssl_reader(const void *bytes, size_t count) { return BIO_new_mem_buf(bytes, (int)count); }
/* The bytes that a memory BIO holds: good until its next change. */
static inline size_t copenssl_written(BIO *bio, char **bytes) {
    long count = BIO_get_mem_data(bio, bytes);
    return count > 0 ? (size_t)count : 0;
}

#endif
