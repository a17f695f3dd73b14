-- class.lua: the names of classes.
local function class_of(priority, fn) return (9 - priority) .. ':' .. fn end
