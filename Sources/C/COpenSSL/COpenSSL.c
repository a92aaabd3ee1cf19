#include "COpenSSL.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Reads of the feed; an empty one means "later", never an end. */
static int take(BIO *bio, char *to, size_t room, size_t *count) {
    struct copenssl_session *session = BIO_get_data(bio);
    struct copenssl_buffers *buffers = session->buffers;
    BIO_clear_retry_flags(bio);
    size_t n = buffers->feed_count < room ? buffers->feed_count : room;
    *count = n;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, buffers->feed, n);
    buffers->feed += n;
    buffers->feed_count -= n;
    return 1;
}

/* Appends to the output, always all of it; fails only when memory is short. What another session left there is dropped: whoever should
   have sent it did not, and this one's peer must never get it. */
static int put(BIO *bio, const char *from, size_t count, size_t *written) {
    struct copenssl_session *session = BIO_get_data(bio);
    struct copenssl_buffers *buffers = session->buffers;
    BIO_clear_retry_flags(bio);
    if (buffers->writer != session) {
        buffers->writer = session;
        buffers->output_count = 0;
    }
    if (count > buffers->output_capacity - buffers->output_count) {
        size_t larger = buffers->output_capacity < 32768 ? 32768 : buffers->output_capacity;
        while (larger - buffers->output_count < count) larger *= 2;
        uint8_t *moved = realloc(buffers->output, larger);
        if (moved == NULL) return 0;
        buffers->output = moved;
        buffers->output_capacity = larger;
    }
    memcpy(buffers->output + buffers->output_count, from, count);
    buffers->output_count += count;
    *written = count;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static int create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *method;
static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;

static void make_method(void) {
    BIO_METHOD *made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7f, "memory of a worker");
    if (made == NULL) return;
    if (BIO_meth_set_read_ex(made, take) && BIO_meth_set_write_ex(made, put) && BIO_meth_set_ctrl(made, control) &&
        BIO_meth_set_create(made, create)) {
        method = made;
    } else {
        BIO_meth_free(made);
    }
}

struct copenssl_session *copenssl_session_new(SSL_CTX *context, struct copenssl_buffers *buffers, int is_client) {
    if (!CRYPTO_THREAD_run_once(&method_once, make_method) || method == NULL) return NULL;
    struct copenssl_session *session = calloc(1, sizeof *session);
    SSL *ssl = SSL_new(context);
    BIO *bio = BIO_new(method);
    if (session == NULL || ssl == NULL || bio == NULL) {
        free(session);
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    session->ssl = ssl;
    session->buffers = buffers;
    session->is_client = is_client != 0;
    BIO_set_data(bio, session);
    SSL_set_bio(ssl, bio, bio);
    if (is_client) SSL_set_connect_state(ssl);
    else SSL_set_accept_state(ssl);
    return session;
}

void copenssl_session_free(struct copenssl_session *session) {
    struct copenssl_buffers *buffers = session->buffers;
    if (buffers->writer == session) {
        buffers->writer = NULL;
        buffers->output_count = 0;
    }
    SSL_free(session->ssl);
    free(session);
}

void copenssl_output_clear(struct copenssl_buffers *buffers, size_t keep) {
    buffers->output_count = 0;
    if (buffers->output_capacity > keep) {
        free(buffers->output);
        buffers->output = NULL;
        buffers->output_capacity = 0;
    }
}

int copenssl_ticket_keys(
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const uint8_t *vector, const uint8_t *cipher_key, const uint8_t *mac_key, int encrypt) {
    OSSL_PARAM settings[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)mac_key, 32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, settings) && EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, cipher_key, vector, encrypt);
}

GENERAL_NAMES *copenssl_names(const X509 *certificate) {
    return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

int copenssl_name_at(const GENERAL_NAMES *names, int i, const uint8_t **bytes, size_t *count) {
    int kind = -1;
    const ASN1_STRING *text = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
    if (kind != GEN_DNS && kind != GEN_URI && kind != GEN_EMAIL && kind != GEN_IPADD) return -1;
    int length = ASN1_STRING_length(text);
    *bytes = ASN1_STRING_get0_data(text);
    *count = length > 0 ? (size_t)length : 0;
    return kind;
}

int64_t copenssl_seconds(const ASN1_TIME *time) {
    struct tm parts;
    if (time == NULL || !ASN1_TIME_to_tm(time, &parts)) return INT64_MIN;
    return timegm(&parts);
}
