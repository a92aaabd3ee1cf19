/* SwiftPM wants a source file; the function comes from the sanitizer's library. */
#include "CFuzzer.h"
