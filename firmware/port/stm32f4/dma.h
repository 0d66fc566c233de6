/* DMA stream flags: four streams share a register, six bits each at 0, 6, 16 and 22. RM0383 9.5.1,
 * RM0090 10.5.1. */
#ifndef PORT_DMA_H
#define PORT_DMA_H

#include "registers.h"

static inline unsigned dma_flag_shift(unsigned stream)
{
    return (stream % 4u % 2u) * 6u + (stream % 4u / 2u) * 16u;
}

static inline uint32_t dma_flags(const struct dma *dma, unsigned stream)
{
    return (stream < 4 ? dma->LISR : dma->HISR) >> dma_flag_shift(stream) & DMA_ALL;
}

static inline void dma_clear(struct dma *dma, unsigned stream)
{
    uint32_t mask = DMA_ALL << dma_flag_shift(stream);
    if (stream < 4) {
        dma->LIFCR = mask;
    } else {
        dma->HIFCR = mask;
    }
}

#endif
