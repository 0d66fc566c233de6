/* Two words for failure.
 *
 * verify: the outside lied (a bus, the host). The function returns a code, the caller must look at it, and it
 * is counted. assert: we lied (a caller broke a contract). A fault record is kept and the board restarts.
 */
#ifndef LIB_CHECK_H
#define LIB_CHECK_H

#define WARN_UNUSED __attribute__((warn_unused_result))

/* Provided by the port, and by the tests. */
_Noreturn void assert_failed(void);

#define ASSERT(condition) ((condition) ? (void)0 : assert_failed())

#endif
