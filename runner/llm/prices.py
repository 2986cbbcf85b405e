"""What tokens cost: at the prices of the genai-prices tables, or at those that the user gives."""

import re
from dataclasses import dataclass

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from runner.faults import UsageFault
from runner.records.episode import Usage

# Shares of the price of a plain sent token, for prices given by hand: those of Anthropic's price list.
CACHE_WRITE, CACHE_READ = 1.25, 0.1
MILLION = 1_000_000  # prices are for a million tokens
# Chosen: the shortest answer that holds a tool call; less money than it costs ends the episode.
OUTPUT_TOKENS_MIN = 256


@dataclass(frozen=True, slots=True)
class Prices:
    """Of one model.

    Attributes:
        provider: as genai-prices names it; empty: any that has a model of that name.
        fixed: US dollars for a million tokens sent, and for a million that come back; None: the tables.
        unknown: no price is known, and the user accepts that: everything costs nothing.
    """

    model: str
    provider: str = ""
    fixed: tuple[float, float] | None = None
    unknown: bool = False

    def cost(self, usage: Usage) -> float:
        """The price of tokens in US dollars.

        Raises:
            UsageFault: the model is in no price table.
        """
        if self.fixed is not None:
            sent = usage.input + CACHE_WRITE * usage.cache_write + CACHE_READ * usage.cache_read
            return (self.fixed[0] * sent + self.fixed[1] * usage.output) / MILLION
        if self.unknown:
            return 0.0
        counted = PricedUsage(
            input_tokens=usage.sent,
            cache_write_tokens=usage.cache_write,
            cache_read_tokens=usage.cache_read,
            output_tokens=usage.output,
        )
        try:
            return float(calc_price(counted, self.model, provider_id=self.provider or None).total_price)
        except LookupError as error:
            raise UsageFault(
                cause=f"no price is known for the model {self.model!r}",
                hint="check that --model names it as its vendor does, give --price IN/OUT (US dollars for a million "
                "tokens), or go without money limits: --no-price-check",
            ) from error

    def cost_max(self, sent_max: int, output_max: int) -> float:
        """The most that one answer can cost: everything sent is of the dearest kind.

        That is mostly what is written to the cache, but some models have no price for it, and one of the tables asks more
        for what is read.
        """
        return max(
            self.cost(Usage(input=sent_max, output=output_max)),
            self.cost(Usage(cache_write=sent_max, output=output_max)),
            self.cost(Usage(cache_read=sent_max, output=output_max)),
        )

    def max_affordable_tokens(self, sent_max: int, output_max: int, dollars: float | None) -> int:
        """The most tokens of an answer that `dollars` pay for; 0 where they do not even pay for the request.

        Args:
            sent_max: upper bound of the tokens that are sent.
            output_max: tokens of the answer that is wanted.
            dollars: None: no limit.
        """
        if dollars is None or self.cost_max(sent_max, output_max) <= dollars:
            return output_max
        for_sent = self.cost_max(sent_max, 0)
        price = (self.cost_max(sent_max, output_max) - for_sent) / output_max
        return max(0, int((dollars - for_sent) / price)) if price > 0 else 0


def prices_of(model: str, provider: str = "", price: str = "", *, check: bool = True) -> Prices:
    """The prices of a model, found out before anything is spent.

    Args:
        price: the user's own, IN/OUT in US dollars for a million tokens; empty: those of the tables.
        check: False accepts a model without a price, which then costs nothing.

    Raises:
        UsageFault: no price is known, or the user's cannot be read.
    """
    if price:
        return Prices(model, provider, _fixed(price))
    prices = Prices(model, provider)
    try:
        prices.cost(Usage())
    except UsageFault:
        if check:
            raise
        return Prices(model, provider, unknown=True)
    return prices


def _fixed(text: str) -> tuple[float, float]:
    match = re.fullmatch(r"\s*\$?(\d+(?:\.\d+)?)\s*/\s*\$?(\d+(?:\.\d+)?)\s*", text)
    if match is None:
        raise UsageFault(
            cause=f"--price {text}: must be IN/OUT", hint="write US dollars for a million tokens, such as 3/15"
        )
    return float(match[1]), float(match[2])
