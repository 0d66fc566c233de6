/* Included in front of every source that the fuzzer runs more than once: collects its variables in two
 * sections, so that each input starts from memory as after a reset. No address sanitizer there (it guards the
 * gaps between variables); the replay, one input a process, has it. */
#ifdef __clang__
#pragma clang section bss = "app_bss" data = "app_data"
#endif
