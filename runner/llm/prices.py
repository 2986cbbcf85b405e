"""What a turn costs: from the usage that the API reports, at the prices of the genai-prices tables."""

from typing import NamedTuple

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from runner.faults import UsageFault

PROVIDER = "anthropic"


class Usage(NamedTuple):
    """Tokens of one answer, as the API counts them; `input` does not hold the cached ones."""

    input: int = 0
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0


def dollars(model: str, usage: Usage) -> float:
    """The price of one answer in US dollars.

    Raises:
        UsageFault: the model is in no price table.
    """
    counted = PricedUsage(
        input_tokens=usage.input + usage.cache_write + usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_read_tokens=usage.cache_read,
        output_tokens=usage.output,
    )
    try:
        return float(calc_price(counted, model, provider_id=PROVIDER).total_price)
    except LookupError as error:
        raise UsageFault(
            cause=f"no price is known for the model {model!r}", mend="see that --model names it as the vendor does"
        ) from error
