"""Other products, started here to be measured beside: none of them is needed to run Cutover."""
