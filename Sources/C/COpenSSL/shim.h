/* OpenSSL's digests, for Core/Crypto. */
#include <openssl/evp.h>
