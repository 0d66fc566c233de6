/* Runs a fuzz target over files, without a fuzzer: replay FILE... A finding ends the program. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    static uint8_t data[1u << 20];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 2;
        }
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        uint8_t *exact = malloc(size != 0 ? size : 1); /* so that the sanitizer sees a read behind the end */
        for (size_t k = 0; k < size; k++) {
            exact[k] = data[k];
        }
        fprintf(stderr, "%s\n", argv[i]); /* the last line names the culprit */
        (void)LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d\n", argc - 1);
    return 0;
}
