"""Room of the figures: how good is it, honestly?"""
